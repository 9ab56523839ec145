"""CloudController: the AWS cloud-controller-manager on the control planes of a self-managed cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.service_account import Rules, ServiceAccount

NAME = "cloud-controller-manager"
#: A user that no machine has, and where it tells its health, on the machine's loopback.
USER, PORT = 65532, 10258
REPOSITORY = "registry.k8s.io/provider-aws/cloud-controller-manager"
#: Minor -> release. Not every tag in git is published: https://github.com/kubernetes/k8s.io/pull/9796 lists those.
RELEASES = {"1.34": "v1.34.3", "1.35": "v1.35.2", "1.36": "v1.36.1"}
#: With one identity for all its controllers
#: (https://github.com/kubernetes/cloud-provider-aws/blob/v1.36.1/examples/existing-cluster/base/cluster-role.yaml).
RULES: Rules = {
    ("", "nodes"): "get list watch update patch delete",
    ("", "nodes/status"): "update patch",
    ("", "services"): "get list watch update patch",
    ("", "services/status"): "update patch",
    ("", "events"): "create update patch",
    ("coordination.k8s.io", "leases"): "get create update",
}


@dataclass(frozen=True)
class CloudControllerArgs:
    """What a CloudController is made from."""

    #: Value of the tag `kubernetes.io/cluster/<cluster>` on machines, subnets and security group.
    cluster: str
    region: pulumi.Input[str]
    #: Repository and tag, of the cluster's minor.
    image: str
    #: Range of the pods where the VPC's route tables lead to them; None: the cluster has an overlay, and no routes.
    routed_pod_cidr: IPv4Network | None = None
    #: Environment of the process: endpoints of a cloud that is not AWS's own.
    environment: Mapping[str, str] = field(default_factory=dict)


class CloudController(pulumi.ComponentResource):
    """Initializes nodes, removes those whose instance is gone, balances Services: by the role of the machines."""

    #: Of the DaemonSet. It runs for what depends on this component.
    name: pulumi.Output[str]

    def __init__(self, name: str, args: CloudControllerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:CloudController", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = ServiceAccount(name, NAME, self)
        account.may(RULES, f"system:{NAME}")
        account.knows_who_calls()
        config = kubernetes.core.v1.ConfigMap(
            name,
            metadata=account.metadata,
            data={
                "cloud.conf": pulumi.Output.concat(
                    "[Global]\nRegion = ", args.region, f"\nKubernetesClusterID = {args.cluster}\n"
                )
            },
            opts=child,
        )
        controller = kubernetes.apps.v1.DaemonSet(
            name,
            metadata=account.metadata,
            spec={
                "selector": {"match_labels": {"app.kubernetes.io/name": NAME}},
                "template": {
                    "metadata": {"labels": account.labels},
                    "spec": pod(args, account.name, config.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=account.rights),
        )
        self.name = controller.metadata.name
        self.register_outputs({"name": self.name})


def pod(args: CloudControllerArgs, account: pulumi.Input[str], config: pulumi.Input[str]) -> Any:
    """The pod's spec: in the machine's network, before any node is initialized."""
    routes = ["--configure-cloud-routes=false"]
    if args.routed_pod_cidr is not None:
        routes = ["--configure-cloud-routes=true", f"--cluster-cidr={args.routed_pod_cidr}"]
    command = ["--cloud-provider=aws", "--cloud-config=/etc/cloud/cloud.conf", "--bind-address=127.0.0.1", *routes]
    health = {"path": "/healthz", "port": PORT, "host": "127.0.0.1", "scheme": "HTTPS"}
    return {
        "host_network": True,
        "service_account_name": account,
        "priority_class_name": "system-node-critical",
        "node_selector": {"node-role.kubernetes.io/control-plane": ""},
        "tolerations": [
            {"key": "node.cloudprovider.kubernetes.io/uninitialized", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
        ],
        "security_context": {"run_as_user": USER, "seccomp_profile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": NAME,
                "image": args.image,
                "args": command,
                "env": [{"name": key, "value": value} for key, value in sorted(args.environment.items())],
                "liveness_probe": {"http_get": health, "initial_delay_seconds": 20, "timeout_seconds": 15},
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                "volume_mounts": [{"name": "config", "mount_path": "/etc/cloud", "read_only": True}],
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "config", "config_map": {"name": config}}],
    }
