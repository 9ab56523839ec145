"""What a machine has of its place in the cluster: whether it joined, and what of that it has lost since."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: membership
short_description: Whether a machine has joined, and what it has lost since
description:
  - V(phases) are those of C(kubeadm init phase) that write again what a control plane lacks. V(lost) is what no kubeadm
    can make again. V(lacking) are paths. V(strays) are certificates without their keys, and keys without theirs.
  - Changes nothing.
options:
  control_plane: {description: Whether the machine is a control plane., required: true, type: bool}
"""
MARKER = "/var/lib/kubelet/kubeadm-done"
KUBELET = ("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml")
#: The kubelet's own certificate; it renews that itself while it runs.
CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
#: Made anew, these would be others: nobody would believe what the old ones signed.
AUTHORITIES = ("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key", "sa.key")
LEAVES = ("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client")
ETCD_LEAVES = ("etcd/server", "etcd/peer", "etcd/healthcheck-client")
#: File below /etc/kubernetes -> the phase that writes it. Certificates come first: the others refer to them.
PHASES = {
    **{f"pki/{leaf}.{kind}": "certs all" for leaf in LEAVES + ETCD_LEAVES for kind in ("crt", "key")},
    "pki/sa.pub": "certs sa",
    "admin.conf": "kubeconfig admin",
    "kubelet.conf": "kubeconfig kubelet",
    "controller-manager.conf": "kubeconfig controller-manager",
    "scheduler.conf": "kubeconfig scheduler",
    "manifests/etcd.yaml": "etcd local",
    "manifests/kube-apiserver.yaml": "control-plane apiserver",
    "manifests/kube-controller-manager.yaml": "control-plane controller-manager",
    "manifests/kube-scheduler.yaml": "control-plane scheduler",
}


def expired(root: Path) -> bool:
    """Returns whether the kubelet's certificate has run out: then it cannot renew it either."""
    path = root / CLIENT.lstrip("/")
    argv = ["openssl", "x509", "-noout", "-checkend", "0", "-in", str(path)]
    return path.exists() and subprocess.run(argv, capture_output=True, check=False).returncode != 0


def look(control_plane: bool, root: Path = Path("/")) -> dict[str, Any]:
    """Returns `joined`, `lacking`, `phases`, `lost`, `strays` and `expired`."""

    def gone(path: str) -> bool:
        return not (root / path.lstrip("/")).exists()

    if gone(MARKER):
        return {"joined": False, "lacking": [], "phases": [], "lost": [], "strays": [], "expired": False}
    wanted = set(KUBELET)
    phases: list[str] = []
    lost: list[str] = []
    strays: list[str] = []
    if control_plane:
        wanted |= {f"/etc/kubernetes/{file}" for file in PHASES}
        missing = [phase for file, phase in PHASES.items() if gone(f"/etc/kubernetes/{file}")]
        phases = list(dict.fromkeys(missing))
        lost = [f"/etc/kubernetes/pki/{file}" for file in AUTHORITIES if gone(f"/etc/kubernetes/pki/{file}")]
        for leaf in LEAVES + ETCD_LEAVES:
            pair = [f"/etc/kubernetes/pki/{leaf}.{kind}" for kind in ("crt", "key")]
            strays += [path for path in pair if not gone(path)] if any(map(gone, pair)) else []
        if gone("/var/lib/kubelet/config.yaml"):
            phases.append("kubelet-start")
    out = expired(root)
    if control_plane and out and "kubeconfig kubelet" not in phases:
        phases.append("kubeconfig kubelet")
    lacking = sorted(path for path in wanted if gone(path)) + ([CLIENT] if out else [])
    return {"joined": True, "lacking": lacking, "phases": phases, "lost": lost, "strays": strays, "expired": out}


def main() -> None:
    """Answers what `look` returns."""
    module = AnsibleModule({"control_plane": {"type": "bool", "required": True}}, supports_check_mode=True)
    module.exit_json(changed=False, **look(module.params["control_plane"]))


if __name__ == "__main__":
    main()
