"""NetworkPolicies: on every node of a self-managed cluster, who acts on its NetworkPolicy objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.service_account import Rules, ServiceAccount

NAME = "kube-network-policies"
#: The newest that is published, by the list of promoted images
#: (https://github.com/kubernetes/k8s.io/blob/05521f2e11d7/registry.k8s.io/images/k8s-staging-networking/images.yaml).
IMAGE = "registry.k8s.io/networking/kube-network-policies:v1.1.1"
#: As of the project's manifest (https://github.com/kubernetes-sigs/kube-network-policies/blob/v1.1.1/install.yaml).
RULES: Rules = {
    ("", "pods"): "list watch",
    ("", "namespaces"): "list watch",
    ("networking.k8s.io", "networkpolicies"): "list watch",
}
#: Number of the kernel's queue that packets wait in, in that manifest, too.
QUEUE = 98
#: Where it tells its figures, on the machine's loopback.
PORT = 9080


@dataclass(frozen=True)
class NetworkPoliciesArgs:
    """What NetworkPolicies are made from."""

    #: Repository and tag.
    image: str = IMAGE


class NetworkPolicies(pulumi.ComponentResource):
    """kube-network-policies. The first packet of a connection from or to a pod with policies waits for its answer, in a
    queue of nftables (CONFIG_NFT_QUEUE of the kernel): with any pod network that goes by routes, as ours does.

    Where it does not run, packets pass. EKS has the VPC CNI for this.
    """

    #: Of the DaemonSet.
    name: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkPoliciesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:NetworkPolicies", name, None, opts)
        account = ServiceAccount(name, NAME, self)
        account.may(RULES)
        agent = kubernetes.apps.v1.DaemonSet(
            name,
            metadata=account.metadata,
            spec={
                "selector": {"match_labels": {"app.kubernetes.io/name": NAME}},
                "template": {"metadata": {"labels": account.labels}, "spec": pod(args.image, account.name)},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=account.rights),
        )
        self.name = agent.metadata.name
        self.register_outputs({"name": self.name})


def pod(image: str, account: pulumi.Input[str]) -> Any:
    """The pod's spec: in the network of its machine, whose packets it judges, and on every one.

    The project's manifest makes it privileged, and has it ask containerd (NRI) for the addresses of pods that have just
    started, by a socket that is as good as root on the machine. Ours has the one right that nftables and queues need,
    and learns addresses from the API: a policy knows a new pod as soon as the kubelet has told its address.
    """
    health = {"path": "/metrics", "port": PORT, "host": "127.0.0.1"}
    return {
        "host_network": True,
        "service_account_name": account,
        "priority_class_name": "system-node-critical",
        "node_selector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "security_context": {"run_as_user": 0, "seccomp_profile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": NAME,
                "image": image,
                "command": ["/bin/netpol"],
                "args": [
                    "--hostname-override=$(NODE)",
                    f"--nfqueue-id={QUEUE}",
                    f"--metrics-bind-address=127.0.0.1:{PORT}",
                    "--disable-nri",
                ],
                "env": [{"name": "NODE", "value_from": {"field_ref": {"field_path": "spec.nodeName"}}}],
                # That it runs: whether the kernel gives it packets, compare asks the machine.
                "readiness_probe": {"http_get": health},
                "liveness_probe": {"http_get": health, "initial_delay_seconds": 20, "timeout_seconds": 10},
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
                },
            }
        ],
    }
