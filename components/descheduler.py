"""Descheduler: moves replicas apart again after drains, lost machines and scaling."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_command as command
import pulumi_kubernetes as kubernetes

from components.descheduler_policy import policy
from components.interpreter import interpreter
from components.service_account import Rules, ServiceAccount

NAME = "descheduler"
#: The user of the official image.
USER = 1000
#: HTTPS, for the probes.
PORT = 10258
#: Seconds between two looks. A look reads from memory; only a misplaced pod costs a request.
INTERVAL = 20
#: Tested by the project with Kubernetes 1.34 to 1.36
#: (https://github.com/kubernetes-sigs/descheduler/blob/v0.36.0/README.md#compatibility-matrix).
IMAGE = "registry.k8s.io/descheduler/descheduler:v0.36.0"
#: The official role may also delete pods and read Secrets, metrics and priority classes, for plugins that are off here.
RULES: Rules = {
    ("", "nodes"): "get list watch",
    ("", "pods"): "get list watch",
    ("", "pods/eviction"): "create",
    ("", "persistentvolumeclaims"): "get list watch",
    ("events.k8s.io", "events"): "create update patch",
}


@dataclass(frozen=True)
class DeschedulerArgs:
    """What a Descheduler is made from."""

    #: Of an administrator, who sees that the nodes are ready for workloads. A secret.
    kubeconfig: pulumi.Input[str]
    #: Machines of the cluster that the stack itself makes: with another one, the nodes are looked at again.
    machines: Sequence[pulumi.Input[str]] = ()
    #: Repository and tag.
    image: str = IMAGE


class Descheduler(pulumi.ComponentResource):
    """The descheduler, and the look at the nodes that workloads wait for.

    A resource that depends on this component is made when every node has its cloud facts and cluster DNS is spread:
    until then all pods would go to the node that is initialized first.
    """

    #: Of the Deployment.
    name: pulumi.Output[str]

    def __init__(self, name: str, args: DeschedulerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:Descheduler", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = ServiceAccount(name, NAME, self)
        account.may(RULES)
        config = kubernetes.core.v1.ConfigMap(
            name, metadata=account.metadata, data={"policy.yaml": policy()}, opts=child
        )
        deployment = kubernetes.apps.v1.Deployment(
            name,
            metadata=account.metadata,
            spec={
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": {"app.kubernetes.io/name": NAME}},
                "template": {
                    # The policy is read at the start alone.
                    "metadata": {
                        "labels": account.labels,
                        "annotations": {"twinplane.dev/policy": hashlib.sha256(policy().encode()).hexdigest()[:12]},
                    },
                    "spec": pod(args.image, account.name, config.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=account.rights),
        )
        command.local.Command(
            f"{name}-nodes",
            interpreter=interpreter("spread"),
            create="wait",
            update="wait",
            stdin=pulumi.Output.secret(args.kubeconfig),
            triggers=list(args.machines),
            logging=command.local.Logging.STDERR,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )
        self.name = deployment.metadata.name
        self.register_outputs({"name": self.name})


def pod(image: str, account: pulumi.Input[str], config: pulumi.Input[str]) -> Any:
    """The pod's spec."""
    health = {"path": "/healthz", "port": PORT, "scheme": "HTTPS"}
    command_line = ["--policy-config-file=/policy/policy.yaml", f"--descheduling-interval={INTERVAL}s", "--v=1"]
    return {
        "service_account_name": account,
        "priority_class_name": "system-cluster-critical",
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NAME,
                "image": image,
                "command": ["/bin/descheduler"],
                "args": command_line,
                "readiness_probe": {"http_get": health, "period_seconds": 2},
                "liveness_probe": {"http_get": health, "initial_delay_seconds": 10, "timeout_seconds": 10},
                "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
                "volume_mounts": [{"name": "policy", "mount_path": "/policy", "read_only": True}],
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "policy", "config_map": {"name": config}}],
    }
