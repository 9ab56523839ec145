"""SampleAppIngress: host names that lead to a Service, through one load balancer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

PREFIX = "alb.ingress.kubernetes.io"
SCHEME = f'metadata.annotations["{PREFIX}/scheme"]'


@dataclass(frozen=True)
class SampleAppIngressArgs:
    """What a SampleAppIngress is made from."""

    #: Of the Ingress, its namespace, and the labels.
    metadata: Any
    #: NodePort Service and the name of its port: targets are machines, which works with any pod network.
    service: pulumi.Input[str]
    port: str
    #: One rule each; name-based virtual hosts.
    hosts: Sequence[str]
    #: Class whose controller answers: known when it does.
    ingress_class: pulumi.Input[str]
    #: "internet-facing" or "internal": that of the class' parameters, which are what counts.
    scheme: str = "internet-facing"
    #: Of Certificate Manager. None: HTTP only; with it, HTTP is redirected to HTTPS, which ends at the balancer.
    certificate_arn: pulumi.Input[str] | None = None


class SampleAppIngress(pulumi.ComponentResource):
    """An Ingress, and the name of the load balancer that its controller made of it."""

    #: DNS name of the load balancer: what the hosts are aliases of.
    address: pulumi.Output[str]

    def __init__(self, name: str, args: SampleAppIngressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # Living stacks know the type by this name.
        super().__init__("twinplane:workload:AppIngress", name, None, opts)
        backend = {"service": {"name": args.service, "port": {"name": args.port}}}
        path = {"path": "/", "path_type": "Prefix", "backend": backend}
        metadata: Any = {**args.metadata, "annotations": directions(args.scheme, args.certificate_arn)}
        spec: Any = {
            "ingress_class_name": args.ingress_class,
            "rules": [{"host": host, "http": {"paths": [path]}} for host in args.hosts],
        }
        # The controller makes another load balancer then, whose name an Ingress that stays would tell too late.
        fixed = pulumi.ResourceOptions(parent=self, replace_on_changes=[SCHEME], delete_before_replace=True)
        made = kubernetes.networking.v1.Ingress(name, metadata=metadata, spec=spec, opts=fixed)
        self.address = made.status.load_balancer.ingress[0].hostname
        self.register_outputs({"address": self.address})


def directions(scheme: str, certificate_arn: pulumi.Input[str] | None) -> dict[str, pulumi.Input[str]]:
    """What the controller is told beside the rules
    (https://kubernetes-sigs.github.io/aws-load-balancer-controller/v2.17/guide/ingress/annotations/)."""
    told: dict[str, pulumi.Input[str]] = {
        f"{PREFIX}/scheme": scheme,
        f"{PREFIX}/target-type": "instance",
        f"{PREFIX}/healthcheck-path": "/healthz",
        f"{PREFIX}/listen-ports": json.dumps([{"HTTP": 80}]),
    }
    if certificate_arn is not None:
        told[f"{PREFIX}/listen-ports"] = json.dumps([{"HTTP": 80}, {"HTTPS": 443}])
        told[f"{PREFIX}/certificate-arn"] = certificate_arn
        told[f"{PREFIX}/ssl-redirect"] = "443"
    return told
