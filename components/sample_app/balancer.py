"""SampleAppBalancer: a Service of type LoadBalancer, of which the cloud controller makes a network load balancer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.base import tags

PREFIX = "service.beta.kubernetes.io/aws-load-balancer"
#: What the controller reads when it makes a load balancer, and never again ("TODO: Sync internal vs non-internal", in
#: https://github.com/kubernetes/cloud-provider-aws/blob/v1.36.2/pkg/providers/v1/aws_loadbalancer.go).
READ_ONCE = [f'metadata.annotations["{PREFIX}-{what}"]' for what in ("type", "internal", "scheme", "subnets")]


@dataclass(frozen=True)
class SampleAppBalancerArgs:
    """What a SampleAppBalancer is made from."""

    #: Of the Service: its name and namespace, and the labels.
    metadata: Any
    #: Labels of the pods, and the Service's ports.
    selector: Any
    ports: Any
    #: IPv4 blocks that reach it. The controller opens the nodes' ports to them, and to nobody else.
    cidrs: Sequence[str]
    #: "internet-facing" or "internal".
    scheme: str
    #: Whether the controller is EKS Auto Mode's.
    auto_mode: bool = False


class SampleAppBalancer(pulumi.ComponentResource):
    """A Service of type LoadBalancer. While it is deleted, the controller removes the load balancer first."""

    #: DNS name of the load balancer.
    address: pulumi.Output[str]

    def __init__(self, name: str, args: SampleAppBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # Living stacks know the type by this name.
        super().__init__("twinplane:workload:AppBalancer", name, None, opts)
        spec: Any = {
            "type": "LoadBalancer",
            "selector": args.selector,
            "ports": args.ports,
            "load_balancer_source_ranges": args.cidrs,
        }
        metadata: Any = {**args.metadata, "annotations": directions(args.scheme, auto_mode=args.auto_mode)}
        # One of the same name comes after it.
        fixed = pulumi.ResourceOptions(parent=self, replace_on_changes=READ_ONCE, delete_before_replace=True)
        made = kubernetes.core.v1.Service(name, metadata=metadata, spec=spec, opts=fixed)
        self.address = made.status.load_balancer.ingress[0].hostname
        self.register_outputs({"address": self.address})


def directions(scheme: str, *, auto_mode: bool) -> dict[str, str]:
    """What the controller is told beside the ports
    (https://github.com/kubernetes/cloud-provider-aws/blob/v1.36.1/docs/service_controller.md)."""
    ours = ",".join(f"{key}={value}" for key, value in tags.common().items())
    # Else the share of a zone without a ready node is lost.
    its = {f"{PREFIX}-cross-zone-load-balancing-enabled": "true", f"{PREFIX}-additional-resource-tags": ours}
    if auto_mode:  # no tags: its role lacks the permission, auto-cluster-iam-role.html#tag-prop in the same guide
        its = {f"{PREFIX}-attributes": "load_balancing.cross_zone.enabled=true"}
    return {
        f"{PREFIX}-type": "nlb",  # one that passes any TCP
        f"{PREFIX}-internal": str(scheme == "internal").lower(),
        # The same for EKS Auto Mode, which would make an internal one
        # (https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-nlb.html).
        f"{PREFIX}-scheme": scheme,
        # A dead node gets requests for three of these, seconds; 30 by default.
        f"{PREFIX}-healthcheck-interval": "10",
        **its,
    }
