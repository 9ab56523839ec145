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
        self._prefix, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._zones = availability_zones(args.zones, pulumi.InvokeOptions(parent=self))
        blocks = subnet_blocks(args.cidr, args.zones)
        self.vpc_id = self._vpc()

        public = self._route_table("public")
        internet = self._way_out("public", public, gateway_id=self._internet_gateway())
        self.public_subnet_ids = self._subnets("public", blocks.public, [public])
        gateways = [
            self._nat_gateway(f"{name}-nat-{index + 1}", self.public_subnet_ids[index], internet)
            for index in range({"none": 0, "single": 1, "per_zone": args.zones}[args.nat])
        ]

        # A table for each zone, so that each zone can get a gateway of its own.
        tables = range(1 if args.pod_routes == "private" else args.zones)
        private = [self._route_table("private", f"-{index + 1}") for index in tables]
        for index in tables if gateways else ():
            gateway = gateways[index % len(gateways)]
            self._way_out(f"private-{index + 1}", private[index], nat_gateway_id=gateway.id)
        self.private_subnet_ids = self._subnets("private", blocks.private, private)

        table_ids = [table.id for table in (public, *private)]
        served = VpcEndpointsArgs(self.vpc_id, args.cidr, table_ids, self.private_subnet_ids, args.interface_endpoints)
        VpcEndpoints(name, served, self._child)
        if args.flow_log_days:
            FlowLogs(f"{name}-flow-logs", FlowLogsArgs(self.vpc_id, args.flow_log_days), self._child)
        outputs = ("vpc_id", "public_subnet_ids", "private_subnet_ids")
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _vpc(self) -> pulumi.Output[str]:
        vpc = aws.ec2.Vpc(
            self._prefix,
            cidr_block=str(self._args.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,  # EKS's private endpoint is found by name
            tags=tags.named(self._prefix),
            opts=self._child,
        )
        # The group that AWS gives to what names none lets nothing in or out.
        default = f"{self._prefix}-default"
        aws.ec2.DefaultSecurityGroup(default, vpc_id=vpc.id, tags=tags.named(default), opts=self._child)
        return vpc.id

    def _internet_gateway(self) -> pulumi.Output[str]:
        own = tags.named(self._prefix)
        return aws.ec2.InternetGateway(f"{self._prefix}-internet", vpc_id=self.vpc_id, tags=own, opts=self._child).id

    def _nat_gateway(self, name: str, subnet_id: pulumi.Output[str], internet: aws.ec2.Route) -> aws.ec2.NatGateway:
        own = tags.named(name)
        address = aws.ec2.Eip(name, domain="vpc", tags=own, opts=self._child)
        after = pulumi.ResourceOptions(parent=self, depends_on=[internet])
        return aws.ec2.NatGateway(name, subnet_id=subnet_id, allocation_id=address.id, tags=own, opts=after)

    def _route_table(self, side: Side, number: str = "") -> aws.ec2.RouteTable:
        full = f"{self._prefix}-{side}{number}"
        more = self._args.subnet_tags if side == self._args.pod_routes else None
        return aws.ec2.RouteTable(full, vpc_id=self.vpc_id, tags=tags.named(full, more), opts=self._child)

    def _way_out(self, suffix: str, table: aws.ec2.RouteTable, **target: pulumi.Input[str]) -> aws.ec2.Route:
        full = f"{self._prefix}-{suffix}-out"
        everywhere = "0.0.0.0/0"
        return aws.ec2.Route(
            full, route_table_id=table.id, destination_cidr_block=everywhere, opts=self._child, **target
        )

    def _subnets(
        self, side: Side, blocks: Sequence[IPv4Network], tables: Sequence[aws.ec2.RouteTable]
    ) -> list[pulumi.Output[str]]:
        """Makes a subnet in each zone. Returns their ids."""
        return [self._subnet(side, index, block, tables[index % len(tables)].id) for index, block in enumerate(blocks)]

    def _subnet(self, side: Side, index: int, block: IPv4Network, table_id: pulumi.Output[str]) -> pulumi.Output[str]:
        full = f"{self._prefix}-{side}-{index + 1}"
        subnet = aws.ec2.Subnet(
            full,
            vpc_id=self.vpc_id,
            availability_zone=self._zones[index],
            cidr_block=str(block),
            map_public_ip_on_launch=False,  # machines ask for a public address one by one
            tags=tags.named(full, {**DISCOVERY[side], **self._args.subnet_tags}),
            opts=self._child,
        )
        aws.ec2.RouteTableAssociation(full, subnet_id=subnet.id, route_table_id=table_id, opts=self._child)
        return subnet.id
