set -eu
hardware() { printf '02:00:%02x:%02x:%02x:%02x' ${1//./ }; }
for pair in $RANGES; do
  [ "${pair%=*}" != "$OWN" ] || pods=${pair#*=}
done
cat > /etc/cni/net.d/10-pods.conflist <<EOF
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "mtu": 1450,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
ip link add pods address "$(hardware "$OWN")" type vxlan id 77 dstport 4789 local "$OWN" nolearning
ip address add "${pods%/*}/32" dev pods
ip link set pods up
for pair in $RANGES; do
  peer=${pair%=*} range=${pair#*=}
  [ "$peer" != "$OWN" ] || continue
  bridge fdb append "$(hardware "$peer")" dev pods dst "$peer"
  ip neigh replace "${range%/*}" lladdr "$(hardware "$peer")" dev pods
  ip route replace "$range" via "${range%/*}" dev pods onlink
done
