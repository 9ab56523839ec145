"""MetricsServer: what nodes and pods use now, for `kubectl top` and autoscaling."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.addons.metrics_server_pod import NAME, pod
from components.identity.self_signed_certificate import SelfSignedCertificate, SelfSignedCertificateArgs

NAMESPACE = "kube-system"
IMAGE = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"
#: API group and version of what it serves.
GROUP, VERSION = "metrics.k8s.io", "v1beta1"
#: Verbs by API group and resource
#: (https://github.com/kubernetes-sigs/metrics-server/blob/v0.9.0/manifests/base/rbac.yaml).
RULES: dict[tuple[str, str], str] = {
    ("", "nodes/metrics"): "get",
    ("", "nodes"): "get list watch",
    ("", "pods"): "get list watch",
}


@dataclass(frozen=True)
class MetricsServerArgs:
    """What a MetricsServer is made from."""

    #: Repository and tag.
    image: str = IMAGE


class MetricsServer(pulumi.ComponentResource):
    """The server, of a self-managed cluster. It and the kubelets show certificates that are checked, both ways.

    EKS has an add-on of it.
    """

    #: Of the Deployment, known when it runs.
    name: pulumi.Output[str]

    def __init__(self, name: str, args: MetricsServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:MetricsServer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "pulumi"}
        selector = {"app.kubernetes.io/name": NAME}
        metadata: Any = {"name": NAME, "namespace": NAMESPACE, "labels": labels}
        of_cluster: Any = {"name": f"twinplane:{NAME}", "labels": labels}
        delegated: Any = {**of_cluster, "name": f"twinplane:{NAME}:auth-delegator"}
        reading: Any = {**metadata, "name": f"{NAME}-authentication-reader"}

        account = kubernetes.core.v1.ServiceAccount(name, metadata=metadata, opts=child)
        subjects: Any = [{"kind": "ServiceAccount", "name": account.metadata.name, "namespace": NAMESPACE}]
        role = kubernetes.rbac.v1.ClusterRole(
            name,
            metadata=of_cluster,
            rules=[
                {"api_groups": [group], "resources": [resource], "verbs": verbs.split()}
                for (group, resource), verbs in RULES.items()
            ],
            opts=child,
        )
        rights = [
            kubernetes.rbac.v1.ClusterRoleBinding(
                name,
                metadata=of_cluster,
                role_ref=_role("ClusterRole", role.metadata.name),
                subjects=subjects,
                opts=child,
            ),
            # Who asks it, it learns as every server of the cluster does.
            kubernetes.rbac.v1.ClusterRoleBinding(
                f"{name}-auth-delegator",
                metadata=delegated,
                role_ref=_role("ClusterRole", "system:auth-delegator"),
                subjects=subjects,
                opts=child,
            ),
            kubernetes.rbac.v1.RoleBinding(
                name,
                metadata=reading,
                role_ref=_role("Role", "extension-apiserver-authentication-reader"),
                subjects=subjects,
                opts=child,
            ),
        ]
        # Who may see pods may see what they use.
        reader = {f"rbac.authorization.k8s.io/aggregate-to-{each}": "true" for each in ("view", "edit", "admin")}
        kubernetes.rbac.v1.ClusterRole(
            f"{name}-reader",
            metadata={"name": f"twinplane:{NAME}:reader", "labels": {**labels, **reader}},
            rules=[{"api_groups": [GROUP], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}],
            opts=child,
        )
        tls = SelfSignedCertificate(f"{name}-tls", SelfSignedCertificateArgs([f"{NAME}.{NAMESPACE}.svc"]), child)
        secret = kubernetes.core.v1.Secret(
            name,
            metadata=metadata,
            type="kubernetes.io/tls",
            string_data={"tls.crt": tls.certificate, "tls.key": tls.private_key},
            opts=child,
        )
        service = kubernetes.core.v1.Service(
            name,
            metadata=metadata,
            spec={
                "type": "ClusterIP",
                "selector": selector,
                "ports": [{"name": "https", "port": 443, "target_port": "https"}],
            },
            opts=child,
        )
        deployment = kubernetes.apps.v1.Deployment(
            name,
            metadata=metadata,
            spec={
                "replicas": 1,
                "strategy": {"rolling_update": {"max_unavailable": 0}},
                "selector": {"match_labels": selector},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": pod(args.image, account.metadata.name, secret.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=rights),
        )
        kubernetes.apiregistration.v1.APIService(
            name,
            metadata={"name": f"{VERSION}.{GROUP}", "labels": labels},
            spec={
                "group": GROUP,
                "version": VERSION,
                "group_priority_minimum": 100,
                "version_priority": 100,
                "service": {"name": service.metadata.name, "namespace": NAMESPACE},
                "ca_bundle": tls.certificate.apply(lambda text: base64.b64encode(text.encode()).decode()),
            },
            # Until it answers, and from when it does not, the API server has a group that nobody serves.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )
        self.name = deployment.metadata.name
        self.register_outputs({"name": self.name})


def _role(kind: str, name: pulumi.Input[str]) -> Any:
    return {"api_group": "rbac.authorization.k8s.io", "kind": kind, "name": name}
