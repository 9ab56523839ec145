"""Network: a VPC with a public and a private subnet in each zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Annotated, Literal

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.network.availability_zones import availability_zones
from components.network.flow_logs import FlowLogs, FlowLogsArgs
from components.network.subnet_blocks import subnet_blocks
from components.network.vpc_endpoints import VpcEndpoints, VpcEndpointsArgs
from components.package.limits import LOG_DAYS, Between, OneOf, Prefix

Nat = Literal["none", "single", "per_zone"]
Side = Literal["public", "private"]
#: By these, load balancer controllers find the subnets of internet-facing and of internal load balancers
#: (https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html).
DISCOVERY = {"public": {"kubernetes.io/role/elb": "1"}, "private": {"kubernetes.io/role/internal-elb": "1"}}


@dataclass(frozen=True)
class NetworkArgs:
    """What a Network is made from."""

    #: IPv4 block of the VPC, /16 to /25: its eighths become the subnets.
    cidr: Annotated[IPv4Network, Prefix(16, 25)]
    #: How many availability zones, 1 to 4: the first ones, by name, of those that the account has.
    zones: Annotated[int, Between(1, 4)] = 2
    #: How private subnets go out. "single": through one NAT gateway, in the first zone; "per_zone": each through one in
    #: its own zone, which outlives the loss of another; "none": not at all.
    nat: Nat = "none"
    #: AWS services that private subnets reach without a way out, "ecr.api"; S3 always is one.
    interface_endpoints: Sequence[str] = ()
    #: Days that CloudWatch keeps a record of all connections; 0: none is made.
    flow_log_days: Annotated[int, OneOf((0, *LOG_DAYS))] = 0
    #: Of every subnet, besides.
    subnet_tags: Mapping[str, str] = field(default_factory=dict)
    #: Side whose subnets share one table, with `subnet_tags`, for a cluster with routes to its pods; not "per_zone".
    pod_routes: Side | None = None


class Network(pulumi.ComponentResource):
    """A VPC, its subnets and their routes.

    What starts in a subnet, and must reach what it needs, depends on this component: then the routes are there.
    Raises pulumi.RunError where the region has fewer zones than asked for.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:network:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        zones = availability_zones(args.zones, pulumi.InvokeOptions(parent=self))

        vpc = aws.ec2.Vpc(
            name,
            cidr_block=str(args.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,  # EKS' private endpoint is found by name
            tags=tags.named(name),
            opts=child,
        )
        internet = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, tags=tags.named(name), opts=child)

        def table(side: str, number: str = "") -> aws.ec2.RouteTable:
            full = f"{name}-{side}{number}"
            more = args.subnet_tags if side == args.pod_routes else None
            return aws.ec2.RouteTable(full, vpc_id=vpc.id, tags=tags.named(full, more), opts=child)

        def way_out(suffix: str, routes: aws.ec2.RouteTable, **target: pulumi.Input[str]) -> aws.ec2.Route:
            return aws.ec2.Route(
                f"{name}-{suffix}-out",
                route_table_id=routes.id,
                destination_cidr_block="0.0.0.0/0",
                opts=child,
                **target,
            )

        def subnet(side: str, index: int, block: IPv4Network, routes: aws.ec2.RouteTable) -> pulumi.Output[str]:
            full = f"{name}-{side}-{index + 1}"
            made = aws.ec2.Subnet(
                full,
                vpc_id=vpc.id,
                availability_zone=zones[index],
                cidr_block=str(block),
                map_public_ip_on_launch=False,  # machines ask for a public address one by one
                tags=tags.named(full, {**DISCOVERY[side], **args.subnet_tags}),
                opts=child,
            )
            aws.ec2.RouteTableAssociation(full, subnet_id=made.id, route_table_id=routes.id, opts=child)
            return made.id

        # The group that AWS gives to what names none lets nothing in or out.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, tags=tags.named(f"{name}-default"), opts=child)
        blocks = subnet_blocks(args.cidr, args.zones)
        public_routes = table("public")
        public_out = way_out("public", public_routes, gateway_id=internet.id)
        self.public_subnet_ids = [
            subnet("public", index, block, public_routes) for index, block in enumerate(blocks.public)
        ]
        gateways = [
            self._nat_gateway(f"{name}-nat-{index + 1}", self.public_subnet_ids[index], public_out)
            for index in range({"none": 0, "single": 1, "per_zone": args.zones}[args.nat])
        ]

        # A table for each zone, so that each zone can get a gateway of its own.
        tables = 1 if args.pod_routes == "private" else args.zones
        private_routes = [table("private", f"-{index + 1}") for index in range(tables)]
        for index, routes in enumerate(private_routes if gateways else []):
            way_out(f"private-{index + 1}", routes, nat_gateway_id=gateways[index % len(gateways)].id)
        self.private_subnet_ids = [
            subnet("private", index, block, private_routes[index % tables])
            for index, block in enumerate(blocks.private)
        ]
        table_ids = [each.id for each in [public_routes, *private_routes]]
        served = VpcEndpointsArgs(vpc.id, args.cidr, table_ids, self.private_subnet_ids, args.interface_endpoints)
        VpcEndpoints(name, served, child)
        if args.flow_log_days:
            FlowLogs(f"{name}-flow-logs", FlowLogsArgs(vpc.id, args.flow_log_days), child)

        self.vpc_id = vpc.id
        told = ("vpc_id", "public_subnet_ids", "private_subnet_ids")
        self.register_outputs({each: getattr(self, each) for each in told})

    def _nat_gateway(self, name: str, subnet_id: pulumi.Output[str], internet: aws.ec2.Route) -> aws.ec2.NatGateway:
        own = tags.named(name)
        address = aws.ec2.Eip(name, domain="vpc", tags=own, opts=pulumi.ResourceOptions(parent=self))
        after = pulumi.ResourceOptions(parent=self, depends_on=[internet])
        return aws.ec2.NatGateway(name, subnet_id=subnet_id, allocation_id=address.id, tags=own, opts=after)
