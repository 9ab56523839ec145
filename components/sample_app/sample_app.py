"""SampleApp: the workload that runs on both clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.sample_app.balancer import SampleAppBalancer, SampleAppBalancerArgs
from components.sample_app.ingress import SampleAppIngress, SampleAppIngressArgs
from components.sample_app.pod import HTTP_PORT, NAME, TCP_PORT, pod
from components.sample_app.storage import SampleAppStorage, SampleAppStorageArgs


@dataclass(frozen=True)
class Balancer:
    """A Service of type LoadBalancer, for HTTP and TCP."""

    #: IPv4 blocks that reach it.
    cidrs: Sequence[str]
    #: "internet-facing" or "internal".
    scheme: str = "internet-facing"
    #: Whether EKS Auto Mode makes the load balancer.
    auto_mode: bool = False


@dataclass(frozen=True)
class Hosts:
    """An Ingress for host names."""

    names: Sequence[str]
    ingress_class: pulumi.Input[str] = "alb"
    #: TLS of the hosts, in Certificate Manager; None: HTTP only.
    certificate_arn: pulumi.Input[str] | None = None
    #: "internet-facing" or "internal".
    scheme: str = "internet-facing"


@dataclass(frozen=True)
class SampleAppArgs:
    """What a SampleApp is made from."""

    #: Repository and tag.
    image: str
    namespace: str = "twinplane"
    replicas: int = 3
    #: Port of every node that reaches the Service, 30000 to 32767.
    node_port: int = 30080
    balancer: Balancer | None = None
    hosts: Hosts | None = None
    #: Class of a volume that outlives pods and nodes; None: there is none.
    storage_class: pulumi.Input[str] | None = None


class SampleApp(pulumi.ComponentResource):
    """Replicas spread over the nodes, behind a NodePort Service, never less than all but one of them by choice."""

    #: Where it runs, the stack's `workload` output: namespace, deployment, service, nodePort; DNS names of its load
    #: balancers, where it has them: balancerAddress, ingressAddress.
    exported: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: SampleAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:workload:SampleApp", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        meta: Any = {"name": args.namespace, "labels": {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}}
        namespace = kubernetes.core.v1.Namespace(name, metadata=meta, opts=child)
        place = namespace.metadata.name
        deployment = kubernetes.apps.v1.Deployment(name, metadata=metadata(place), spec=replicated(args), opts=child)
        service = kubernetes.core.v1.Service(name, metadata=metadata(place), spec=on_nodes(args.node_port), opts=child)
        inside = f"{name}-internal"
        kubernetes.core.v1.Service(inside, metadata=metadata(place, "-internal"), spec=in_cluster(), opts=child)
        addresses: dict[str, pulumi.Output[str]] = {}
        if args.balancer:
            addresses["balancerAddress"] = self._balancer(f"{name}-public", args.balancer, place)
        if args.hosts:
            addresses["ingressAddress"] = self._ingress(name, args.hosts, place, service.metadata.name)
        if args.storage_class is not None:
            kept = SampleAppStorageArgs(args.image, place, args.storage_class)
            SampleAppStorage(f"{name}-storage", kept, child)
        budget: Any = {"min_available": args.replicas - 1, "selector": {"match_labels": SELECTOR}}
        kubernetes.policy.v1.PodDisruptionBudget(name, metadata=metadata(place), spec=budget, opts=child)
        self.exported = pulumi.Output.all(
            namespace=place,
            deployment=deployment.metadata.name,
            service=service.metadata.name,
            nodePort=service.spec.ports[0].node_port,
            **addresses,
        )
        self.register_outputs({"exported": self.exported})

    def _balancer(self, name: str, args: Balancer, namespace: pulumi.Output[str]) -> pulumi.Output[str]:
        parts = SampleAppBalancerArgs(
            metadata=metadata(namespace, "-public"),
            selector=SELECTOR,
            ports=PORTS,
            cidrs=args.cidrs,
            scheme=args.scheme,
            auto_mode=args.auto_mode,
        )
        return SampleAppBalancer(name, parts, pulumi.ResourceOptions(parent=self)).address

    def _ingress(
        self, name: str, args: Hosts, namespace: pulumi.Output[str], service: pulumi.Output[str]
    ) -> pulumi.Output[str]:
        parts = SampleAppIngressArgs(
            metadata=metadata(namespace),
            service=service,
            port="http",
            hosts=args.names,
            ingress_class=args.ingress_class,
            scheme=args.scheme,
            certificate_arn=args.certificate_arn,
        )
        return SampleAppIngress(name, parts, pulumi.ResourceOptions(parent=self)).address


SELECTOR = {"app.kubernetes.io/name": NAME}
LABELS = {**SELECTOR, "app.kubernetes.io/managed-by": "pulumi"}
#: Of Services that lead to pods, not to nodes.
PORTS = [
    {"name": "http", "port": 80, "target_port": HTTP_PORT},
    {"name": "tcp", "port": TCP_PORT, "target_port": TCP_PORT},
]


def metadata(namespace: pulumi.Input[str], suffix: str = "") -> Any:
    """The metadata of an object of the app."""
    return {"name": f"{NAME}{suffix}", "namespace": namespace, "labels": LABELS}


def replicated(args: SampleAppArgs) -> Any:
    """The spec of the Deployment."""
    template = {"metadata": {"labels": LABELS}, "spec": pod(args.image, SELECTOR)}
    return {"replicas": args.replicas, "selector": {"match_labels": SELECTOR}, "template": template}


def on_nodes(node_port: int) -> Any:
    """The spec of the Service that every node answers for."""
    port = {"name": "http", "port": 80, "target_port": "http", "node_port": node_port}
    return {"type": "NodePort", "selector": SELECTOR, "ports": [port]}


def in_cluster() -> Any:
    """The spec of the Service that pods reach."""
    return {"type": "ClusterIP", "selector": SELECTOR, "ports": PORTS}
