set -eu
export KUBECONFIG=/etc/kubernetes/admin.conf
[ "$(kubectl get nodes -o name | wc -l)" = "$COUNT" ]
kubectl wait --for=condition=Ready nodes --all --timeout=120s
