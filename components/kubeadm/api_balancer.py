"""ApiBalancer: an address of a self-managed cluster's API servers, inside the VPC or outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.machines.opening import API
from components.machines.security_groups import SecurityGroups

#: 32 characters are all that a name can have: the tags say whose it is.
PREFIX = "api-"


@dataclass(frozen=True)
class ApiBalancerArgs:
    """What an ApiBalancer is made from."""

    vpc_id: pulumi.Input[str]
    #: One in each zone, public ones for a public balancer.
    subnet_ids: Sequence[pulumi.Input[str]]
    #: True: it has public addresses.
    public: bool
    security_group_id: pulumi.Input[str]
    #: Name of a control plane -> its instance id.
    control_planes: Mapping[str, pulumi.Input[str]]


class ApiBalancer(pulumi.ComponentResource):
    """A network load balancer that passes TCP through to the control planes that are ready.

    One control plane has it too: its certificates and every kubeconfig name the balancer, so that two more can join
    it, and so that it can be replaced.
    """

    #: Its name. It leads to control planes for what depends on this component.
    host: pulumi.Output[str]

    def __init__(self, name: str, args: ApiBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:ApiBalancer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        own = tags.named(name)
        balancer = self._balancer(name, args)
        group = self._target_group(name, args.vpc_id)
        forward: Any = [{"type": "forward", "target_group_arn": group.arn}]
        aws.lb.Listener(
            name,
            load_balancer_arn=balancer.arn,
            port=API.first,
            protocol="TCP",
            default_actions=forward,
            tags=own,
            opts=child,
        )
        for machine, instance_id in args.control_planes.items():
            aws.lb.TargetGroupAttachment(
                f"{name}-{machine}", target_group_arn=group.arn, target_id=instance_id, port=API.first, opts=child
            )
        self.host = balancer.dns_name
        self.register_outputs({"host": self.host})

    def _balancer(self, name: str, args: ApiBalancerArgs) -> aws.lb.LoadBalancer:
        return aws.lb.LoadBalancer(
            name,
            name_prefix=PREFIX,
            load_balancer_type="network",
            internal=not args.public,
            subnets=args.subnet_ids,
            security_groups=[args.security_group_id],
            enable_cross_zone_load_balancing=True,  # else a zone without a ready control plane answers nobody
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _target_group(self, name: str, vpc_id: pulumi.Input[str]) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            name,
            name_prefix=PREFIX,
            vpc_id=vpc_id,
            port=API.first,
            protocol="TCP",
            target_type="instance",
            # With its own address a control plane could not reach itself through the balancer.
            preserve_client_ip="false",
            deregistration_delay=30,
            health_check={
                "protocol": "HTTPS",
                "path": "/readyz",
                "matcher": "200",
                "interval": 5,
                "timeout": 3,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
            },
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self),
        )


def api_balancers(
    name: str,
    inside: ApiBalancerArgs,
    outside: Sequence[pulumi.Input[str]],
    groups: SecurityGroups,
    parent: pulumi.Resource,
) -> tuple[ApiBalancer, ApiBalancer]:
    """Returns the one for machines, and the one for people in the subnets `outside`; without any it is the same."""
    opts = pulumi.ResourceOptions(parent=parent, depends_on=groups.rules)
    # Once there was one alone, inside or outside.
    former = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=[pulumi.Alias(f"{name}-api")]))
    front = groups.public_balancer_id
    internal = ApiBalancer(f"{name}-api-internal", inside, former if front is None else opts)
    if front is None:
        return internal, internal
    public = replace(inside, subnet_ids=outside, public=True, security_group_id=front)
    return internal, ApiBalancer(f"{name}-api-public", public, former)
