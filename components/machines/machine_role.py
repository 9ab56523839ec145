"""MachineRole: what the machines of one role may do in AWS, as their instance profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.base.policy_document import policy
from components.registry.container_registry import PULL


@dataclass(frozen=True)
class MachineRoleArgs:
    """What a MachineRole is made from."""

    #: Name of what needs it -> IAM policy document, besides the right to pull images.
    policies: Mapping[str, pulumi.Input[str]]


class MachineRole(pulumi.ComponentResource):
    """An IAM role that only EC2 machines take, and the instance profile that gives it to them."""

    #: A machine that shall have all it needs from its start on depends on this component.
    profile_name: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: MachineRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:machine:MachineRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        of_child = pulumi.InvokeOptions(parent=self)
        partition = aws.get_partition_output(opts=of_child)
        account = aws.get_caller_identity_output(opts=of_child).account_id
        region = aws.get_region_output(opts=of_child).region

        role = aws.iam.Role(
            name, assume_role_policy=partition.dns_suffix.apply(trust), tags=tags.named(name), opts=child
        )
        pull: pulumi.Output[str] = pulumi.Output.all(partition.partition, region, account).apply(
            lambda known: pull_images(*known)
        )
        for purpose, document in {"pull-images": pull, **args.policies}.items():
            aws.iam.RolePolicy(f"{name}-{purpose}", name=purpose, role=role.name, policy=document, opts=child)
        profile = aws.iam.InstanceProfile(name, role=role.name, tags=tags.named(name), opts=child)
        self.profile_name = profile.name
        self.role_arn = role.arn
        self.register_outputs({"profile_name": self.profile_name, "role_arn": self.role_arn})


def trust(dns_suffix: str) -> str:
    """Trust policy: EC2 machines may take the role."""
    return policy({"Effect": "Allow", "Principal": {"Service": f"ec2.{dns_suffix}"}, "Action": "sts:AssumeRole"})


def pull_images(partition: str, region: str, account: str) -> str:
    """Images of the account's own repositories, in the region of the machine; a login is of the whole registry."""
    return policy(
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": list(PULL),
            "Resource": f"arn:{partition}:ecr:{region}:{account}:repository/*",
        },
    )
