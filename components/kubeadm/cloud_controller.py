"""CloudController: the AWS cloud-controller-manager on the control planes of a self-managed cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

NAME = "cloud-controller-manager"
NAMESPACE = "kube-system"
#: A user that no machine has, and where it tells its health, on the machine's loopback.
USER, PORT = 65532, 10258
REPOSITORY = "registry.k8s.io/provider-aws/cloud-controller-manager"
#: Minor -> release. Not every tag in git is published: https://github.com/kubernetes/k8s.io/pull/9796 lists those.
RELEASES = {"1.34": "v1.34.3", "1.35": "v1.35.2", "1.36": "v1.36.1"}
#: Verbs by API group and resource, with one identity for all its controllers
#: (https://github.com/kubernetes/cloud-provider-aws/blob/v1.36.1/examples/existing-cluster/base/cluster-role.yaml).
RULES: dict[tuple[str, str], str] = {
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
        labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "pulumi"}
        metadata: Any = {"name": NAME, "namespace": NAMESPACE, "labels": labels}

        reader: Any = {**metadata, "name": f"{NAME}-authentication-reader"}
        account = kubernetes.core.v1.ServiceAccount(name, metadata=metadata, opts=child)
        subjects: Any = [{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": NAMESPACE}]
        role = kubernetes.rbac.v1.ClusterRole(
            name,
            metadata={"name": f"system:{NAME}", "labels": labels},
            rules=[
                {"api_groups": [group], "resources": [resource], "verbs": verbs.split()}
                for (group, resource), verbs in RULES.items()
            ],
            opts=child,
        )
        allowed = kubernetes.rbac.v1.ClusterRoleBinding(
            name,
            metadata={"name": f"system:{NAME}", "labels": labels},
            role_ref=_reference("ClusterRole", role.metadata.name),
            subjects=subjects,
            opts=child,
        )
        # Whom it lets read its metrics, it learns as every server of the cluster does.
        reads = kubernetes.rbac.v1.RoleBinding(
            name,
            metadata=reader,
            role_ref=_reference("Role", "extension-apiserver-authentication-reader"),
            subjects=subjects,
            opts=child,
        )
        config = kubernetes.core.v1.ConfigMap(
            name,
            metadata=metadata,
            data={
                "cloud.conf": pulumi.Output.concat(
                    "[Global]\nRegion = ", args.region, f"\nKubernetesClusterID = {args.cluster}\n"
                )
            },
            opts=child,
        )
        controller = kubernetes.apps.v1.DaemonSet(
            name,
            metadata=metadata,
            spec={
                "selector": {"match_labels": {"app.kubernetes.io/name": NAME}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": pod(args, account.metadata.name, config.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed, reads]),
        )
        self.name = controller.metadata.name
        self.register_outputs({"name": self.name})


def _reference(kind: str, name: pulumi.Input[str]) -> Any:
    return {"api_group": "rbac.authorization.k8s.io", "kind": kind, "name": name}


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
