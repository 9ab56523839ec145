"""SshEndpoint: the way in by SSH for machines without public addresses."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.machines.opening import SSH


@dataclass(frozen=True)
class SshEndpointArgs:
    """What an SshEndpoint is made from."""

    vpc_id: pulumi.Input[str]
    #: Any of the VPC: from it, machines in all subnets are reached.
    subnet_id: pulumi.Input[str]
    #: The group of the machines.
    machine_group_id: pulumi.Input[str]


class SshEndpoint(pulumi.ComponentResource):
    """An EC2 Instance Connect Endpoint, which lets in who IAM says may open a tunnel, to one port of the machines.

    A VPC can have one (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/eice-quotas.html).
    """

    #: SSH goes through for what depends on this component.
    region: pulumi.Output[str]

    def __init__(self, name: str, args: SshEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:network:SshEndpoint", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        own = tags.named(name)
        group = aws.ec2.SecurityGroup(
            name, vpc_id=args.vpc_id, description="EC2 Instance Connect Endpoint", tags=own, opts=child
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-out",
            security_group_id=group.id,
            referenced_security_group_id=args.machine_group_id,
            description="ssh to machines",
            tags=own,
            opts=child,
            **SSH.ports,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-in",
            security_group_id=args.machine_group_id,
            referenced_security_group_id=group.id,
            description="ssh from the endpoint",
            tags=own,
            opts=child,
            **SSH.ports,
        )
        aws.ec2transitgateway.InstanceConnectEndpoint(
            name,
            subnet_id=args.subnet_id,
            security_group_ids=[group.id],
            preserve_client_ip=False,  # else machines see the operator's address, which no rule of theirs lets in
            tags=own,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.region = aws.get_region_output(opts=pulumi.InvokeOptions(parent=self)).region
        self.register_outputs({"region": self.region})
