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
class SampleAppArgs:
    """What a SampleApp is made from."""

    #: Repository and tag.
    image: str
    namespace: str = "twinplane"
    replicas: int = 3
    #: Port of every node that reaches the Service, 30000 to 32767.
    node_port: int = 30080
    #: IPv4 blocks that reach a Service of type LoadBalancer, for HTTP and TCP; none: there is no such Service.
    balancer_cidrs: Sequence[str] = ()
    #: "internet-facing" or "internal", of that Service's load balancer and of the Ingress'.
    balancer_scheme: str = "internet-facing"
    #: Whether EKS Auto Mode makes it.
    balancer_auto_mode: bool = False
    #: Host names of an Ingress of `ingress_class`; none: there is no Ingress.
    hosts: Sequence[str] = ()
    ingress_class: pulumi.Input[str] = "alb"
    #: TLS of the hosts, in Certificate Manager; None: HTTP only.
    certificate_arn: pulumi.Input[str] | None = None
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
        labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "pulumi"}
        selector = {"app.kubernetes.io/name": NAME}

        namespace = kubernetes.core.v1.Namespace(
            name,
            metadata={
                "name": args.namespace,
                "labels": {**labels, "pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=child,
        )
        metadata: Any = {"name": NAME, "namespace": namespace.metadata.name, "labels": labels}
        deployment = kubernetes.apps.v1.Deployment(
            name,
            metadata=metadata,
            spec={
                "replicas": args.replicas,
                "selector": {"match_labels": selector},
                "template": {"metadata": {"labels": labels}, "spec": pod(args.image, selector)},
            },
            opts=child,
        )
        service = kubernetes.core.v1.Service(
            name,
            metadata=metadata,
            spec={
                "type": "NodePort",
                "selector": selector,
                "ports": [{"name": "http", "port": 80, "target_port": "http", "node_port": args.node_port}],
            },
            opts=child,
        )
        ports = {"http": (80, HTTP_PORT), "tcp": (TCP_PORT, TCP_PORT)}
        listed = [{"name": key, "port": at, "target_port": to} for key, (at, to) in ports.items()]
        internal: Any = {"type": "ClusterIP", "selector": selector, "ports": listed}
        inside: Any = {**metadata, "name": f"{NAME}-internal"}
        kubernetes.core.v1.Service(f"{name}-internal", metadata=inside, spec=internal, opts=child)
        addresses: dict[str, pulumi.Output[str]] = {}
        if args.balancer_cidrs:
            outside: Any = {**metadata, "name": f"{NAME}-public"}
            addresses["balancerAddress"] = SampleAppBalancer(
                f"{name}-public",
                SampleAppBalancerArgs(
                    metadata=outside,
                    selector=selector,
                    ports=listed,
                    cidrs=args.balancer_cidrs,
                    scheme=args.balancer_scheme,
                    auto_mode=args.balancer_auto_mode,
                ),
                child,
            ).address
        if args.hosts:
            addresses["ingressAddress"] = SampleAppIngress(
                name,
                SampleAppIngressArgs(
                    metadata=metadata,
                    service=service.metadata.name,
                    port="http",
                    hosts=args.hosts,
                    ingress_class=args.ingress_class,
                    scheme=args.balancer_scheme,
                    certificate_arn=args.certificate_arn,
                ),
                child,
            ).address
        if args.storage_class is not None:
            SampleAppStorage(
                f"{name}-storage",
                SampleAppStorageArgs(args.image, namespace.metadata.name, args.storage_class),
                child,
            )
        kubernetes.policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata,
            spec={"min_available": args.replicas - 1, "selector": {"match_labels": selector}},
            opts=child,
        )
        self.exported = pulumi.Output.all(
            namespace=namespace.metadata.name,
            deployment=deployment.metadata.name,
            service=service.metadata.name,
            nodePort=service.spec.ports[0].node_port,
            **addresses,
        )
        self.register_outputs({"exported": self.exported})
