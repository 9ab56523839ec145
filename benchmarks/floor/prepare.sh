set -eu
sysctl -q -w net.ipv4.ip_forward=1
for tool in kubeadm kubelet kubectl; do
  curl -fsS -o "/usr/local/bin/$tool" "$KUBERNETES/$tool"
  chmod 755 "/usr/local/bin/$tool"
done
curl -fsS "$CONTAINERD" | tar -xz -C /usr/local
mkdir -p /etc/containerd/certs.d/_default /etc/cni/net.d
cat > /etc/containerd/certs.d/_default/hosts.toml <<EOF
[host."$REGISTRY"]
  capabilities = ["pull", "resolve"]
EOF
cat > /etc/containerd/config.toml <<'EOF'
version = 3
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
[plugins.'io.containerd.cri.v1.images']
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = "/etc/containerd/certs.d"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "registry.k8s.io/pause:3.10.2"
EOF
cat > /etc/systemd/system/containerd.service <<'EOF'
[Service]
ExecStart=/usr/local/bin/containerd
Delegate=yes
KillMode=process
LimitNOFILE=1048576
EOF
cat > /etc/systemd/system/kubelet.service <<'EOF'
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl enable -q kubelet
systemctl start containerd
