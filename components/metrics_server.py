"""MetricsServer: what nodes and pods use now, for `kubectl top` and autoscaling."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.metrics_server_pod import NAME, pod
from components.self_signed_certificate import SelfSignedCertificate, SelfSignedCertificateArgs
from components.service_account import NAMESPACE, Rules, ServiceAccount

IMAGE = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"
#: API group and version of what it serves.
GROUP, VERSION = "metrics.k8s.io", "v1beta1"
#: As in https://github.com/kubernetes-sigs/metrics-server/blob/v0.9.0/manifests/base/rbac.yaml.
RULES: Rules = {
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
        selector = {"app.kubernetes.io/name": NAME}
        account = ServiceAccount(name, NAME, self)
        account.may(RULES)
        account.asks_who_calls()
        account.knows_who_calls()
        # Who may see pods may see what they use.
        reader = {f"rbac.authorization.k8s.io/aggregate-to-{each}": "true" for each in ("view", "edit", "admin")}
        kubernetes.rbac.v1.ClusterRole(
            f"{name}-reader",
            metadata={"name": f"twinplane:{NAME}:reader", "labels": {**account.labels, **reader}},
            rules=[{"api_groups": [GROUP], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}],
            opts=child,
        )
        tls = SelfSignedCertificate(f"{name}-tls", SelfSignedCertificateArgs([f"{NAME}.{NAMESPACE}.svc"]), child)
        secret = kubernetes.core.v1.Secret(
            name,
            metadata=account.metadata,
            type="kubernetes.io/tls",
            string_data={"tls.crt": tls.certificate, "tls.key": tls.private_key},
            opts=child,
        )
        service = kubernetes.core.v1.Service(
            name,
            metadata=account.metadata,
            spec={
                "type": "ClusterIP",
                "selector": selector,
                "ports": [{"name": "https", "port": 443, "target_port": "https"}],
            },
            opts=child,
        )
        deployment = kubernetes.apps.v1.Deployment(
            name,
            metadata=account.metadata,
            spec={
                "replicas": 1,
                "strategy": {"rolling_update": {"max_unavailable": 0}},
                "selector": {"match_labels": selector},
                "template": {
                    "metadata": {"labels": account.labels},
                    "spec": pod(args.image, account.name, secret.metadata.name),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=account.rights),
        )
        kubernetes.apiregistration.v1.APIService(
            name,
            metadata={"name": f"{VERSION}.{GROUP}", "labels": account.labels},
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
