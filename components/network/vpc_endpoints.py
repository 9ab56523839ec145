"""VpcEndpoints: AWS's own services, reached from a VPC without a way to the Internet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from components.base import tags


@dataclass(frozen=True)
class VpcEndpointsArgs:
    """What VpcEndpoints are made from."""

    vpc_id: pulumi.Input[str]
    #: The VPC's block: who may use the interface endpoints.
    cidr: IPv4Network
    #: Tables that lead to S3 through its gateway endpoint, which costs nothing.
    route_table_ids: Sequence[pulumi.Input[str]]
    #: Of different zones: an interface endpoint has an address in each.
    subnet_ids: Sequence[pulumi.Input[str]]
    #: Services with an interface endpoint, as after the region in their endpoint's name: "ecr.api", "ecr.dkr".
    interfaces: Sequence[str] = ()


class VpcEndpoints(pulumi.ComponentResource):
    """S3's gateway endpoint, where ECR keeps the layers of images, and the interface endpoints asked for."""

    def __init__(self, name: str, args: VpcEndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:network:VpcEndpoints", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        region = aws.get_region_output(opts=pulumi.InvokeOptions(parent=self)).region

        def service(of: str) -> pulumi.Output[str]:
            return pulumi.Output.concat("com.amazonaws.", region, ".", of)

        s3 = aws.ec2.VpcEndpoint(
            f"{name}-s3",
            vpc_id=args.vpc_id,
            vpc_endpoint_type="Gateway",
            service_name=service("s3"),
            route_table_ids=args.route_table_ids,
            tags=tags.named(f"{name}-s3"),
            opts=child,
        )
        made = [s3]
        if args.interfaces:
            full = f"{name}-endpoints"
            group = aws.ec2.SecurityGroup(
                full,
                vpc_id=args.vpc_id,
                description="Interface endpoints, from inside the VPC",
                tags=tags.named(full),
                opts=child,
            )
            opening = aws.vpc.SecurityGroupIngressRule(
                full,
                security_group_id=group.id,
                cidr_ipv4=str(args.cidr),
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description="HTTPS from the VPC",
                tags=tags.named(full),
                opts=child,
            )
            made += [
                aws.ec2.VpcEndpoint(
                    f"{name}-{each.replace('.', '-')}",
                    vpc_id=args.vpc_id,
                    vpc_endpoint_type="Interface",
                    service_name=service(each),
                    subnet_ids=args.subnet_ids,
                    security_group_ids=[group.id],
                    private_dns_enabled=True,  # the service's usual name leads to the endpoint
                    tags=tags.named(f"{name}-{each.replace('.', '-')}"),
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[opening]),
                )
                for each in args.interfaces
            ]
        self.register_outputs({"ids": [each.id for each in made]})
