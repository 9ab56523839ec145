set -eu
kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes \
  -o jsonpath='{range .items[*]}{.status.addresses[?(@.type=="InternalIP")].address} {.spec.podCIDR}{"\n"}{end}'
