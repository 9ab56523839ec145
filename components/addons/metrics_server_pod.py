"""The pod of metrics-server."""

from __future__ import annotations

from typing import Any

import pulumi

NAME = "metrics-server"
#: The user of the official image.
USER = 1000
#: HTTPS, for the API server and the probes.
PORT = 10250
#: Its certificate and the key to it.
TLS = "/tls"


def pod(image: str, account: pulumi.Input[str], secret: pulumi.Input[str]) -> Any:
    """The pod's spec."""
    command_line = [
        f"--secure-port={PORT}",
        f"--tls-cert-file={TLS}/tls.crt",
        f"--tls-private-key-file={TLS}/tls.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        # The cluster's own, which signs what kubelets serve with.
        "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
        "--metric-resolution=15s",
    ]
    return {
        "service_account_name": account,
        "priority_class_name": "system-cluster-critical",
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER,
            "fs_group": USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NAME,
                "image": image,
                "args": command_line,
                "ports": [{"name": "https", "container_port": PORT}],
                "readiness_probe": {"http_get": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}},
                "liveness_probe": {
                    "http_get": {"path": "/livez", "port": "https", "scheme": "HTTPS"},
                    "initial_delay_seconds": 20,
                    "timeout_seconds": 10,
                },
                "resources": {"requests": {"cpu": "50m", "memory": "100Mi"}},
                "volume_mounts": [{"name": "tls", "mount_path": TLS, "read_only": True}],
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "tls", "secret": {"secret_name": secret, "default_mode": 0o440}}],
    }
