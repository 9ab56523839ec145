"""Network: a VPC with a public and a private subnet in each zone."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

import pulumi
import pulumi_aws as aws

from components import tags
from components.ready import ready

Nat = Literal["none", "single"]


@dataclass(frozen=True)
class NetworkArgs:
    """What a Network is made from."""

    #: IPv4 block of the VPC, /16 to /25: its eighths become the subnets.
    cidr: IPv4Network
    #: How many availability zones, 1 to 4: the first ones, by name, of those that the account has.
    zones: int = 2
    #: "single": private subnets go out through one NAT gateway, in the first zone; "none": they have no way out.
    nat: Nat = "none"


class Network(pulumi.ComponentResource):
    """A VPC, its subnets and their routes.

    A subnet's id is known only when its routes are there: what starts in a subnet can reach what it needs.
    Raises pulumi.RunError where the region has fewer zones than asked for.
    """

    vpc_id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:network:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        zones = _zones(args.zones, pulumi.InvokeOptions(parent=self))

        vpc = aws.ec2.Vpc(
            name,
            cidr_block=str(args.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,  # EKS' private endpoint is found by name
            tags=tags.named(name),
            opts=child,
        )
        internet = aws.ec2.InternetGateway(f"{name}-internet", vpc_id=vpc.id, tags=tags.named(name), opts=child)

        def table(suffix: str) -> aws.ec2.RouteTable:
            full = f"{name}-{suffix}"
            return aws.ec2.RouteTable(full, vpc_id=vpc.id, tags=tags.named(full), opts=child)

        def way_out(suffix: str, routes: aws.ec2.RouteTable, **target: pulumi.Input[str]) -> aws.ec2.Route:
            return aws.ec2.Route(
                f"{name}-{suffix}-out",
                route_table_id=routes.id,
                destination_cidr_block="0.0.0.0/0",
                opts=child,
                **target,
            )

        def subnet(
            suffix: str, zone: str, block: IPv4Network, routes: aws.ec2.RouteTable, out: list[aws.ec2.Route]
        ) -> pulumi.Output[str]:
            full = f"{name}-{suffix}"
            made = aws.ec2.Subnet(
                full,
                vpc_id=vpc.id,
                availability_zone=zone,
                cidr_block=str(block),
                map_public_ip_on_launch=False,  # machines ask for a public address one by one
                tags=tags.named(full),
                opts=child,
            )
            tied = aws.ec2.RouteTableAssociation(full, subnet_id=made.id, route_table_id=routes.id, opts=child)
            return ready(made.id, tied, *out)

        blocks = subnet_blocks(args.cidr, args.zones)
        public_routes = table("public")
        public_out = way_out("public", public_routes, gateway_id=internet.id)
        self.public_subnet_ids = [
            subnet(f"public-{index}", zone, block, public_routes, [public_out])
            for index, (zone, block) in enumerate(zip(zones, blocks.public, strict=True), start=1)
        ]
        gateways = [self._nat_gateway(f"{name}-nat-1", self.public_subnet_ids[0])] if args.nat == "single" else []

        self.private_subnet_ids = []
        for index, (zone, block) in enumerate(zip(zones, blocks.private, strict=True), start=1):
            # A table for each zone, so that each zone can get a gateway of its own.
            routes = table(f"private-{index}")
            out = [way_out(f"private-{index}", routes, nat_gateway_id=gateway.id) for gateway in gateways]
            self.private_subnet_ids.append(subnet(f"private-{index}", zone, block, routes, out))

        self.vpc_id = vpc.id
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "public_subnet_ids": self.public_subnet_ids,
                "private_subnet_ids": self.private_subnet_ids,
            }
        )

    def _nat_gateway(self, name: str, subnet_id: pulumi.Output[str]) -> aws.ec2.NatGateway:
        child = pulumi.ResourceOptions(parent=self)
        address = aws.ec2.Eip(name, domain="vpc", tags=tags.named(name), opts=child)
        return aws.ec2.NatGateway(
            name, subnet_id=subnet_id, allocation_id=address.id, tags=tags.named(name), opts=child
        )


@dataclass(frozen=True)
class SubnetBlocks:
    """One block a zone, in the order of the zones."""

    public: tuple[IPv4Network, ...]
    private: tuple[IPv4Network, ...]


def subnet_blocks(cidr: IPv4Network, zones: int) -> SubnetBlocks:
    """Eighths of the block: the first half is public, the second private. One more zone (of 4) moves no block."""
    eighths = list(cidr.subnets(prefixlen_diff=3))
    return SubnetBlocks(public=tuple(eighths[:zones]), private=tuple(eighths[4 : 4 + zones]))


def _zones(count: int, opts: pulumi.InvokeOptions) -> list[str]:
    # Local and wavelength zones must be opted in to and lack most services; in use1-az3 EKS has no control planes
    # (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
    names = aws.get_availability_zones(
        state="available",
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        exclude_zone_ids=["use1-az3"],
        opts=opts,
    ).names
    if len(names) < count:
        raise pulumi.RunError(f"availabilityZones: {count} asked for, the region has {len(names)}: {', '.join(names)}")
    return sorted(names)[:count]
