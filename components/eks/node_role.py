"""The IAM role of machines that EKS starts as nodes."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.machines.machine_role import trust


def node_role(
    name: str, policies: Sequence[str], parent: pulumi.Resource
) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
    """Makes it with AWS's managed `policies`, by their names. Returns its ARN, and what its nodes depend on."""
    child = pulumi.ResourceOptions(parent=parent)
    partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=parent))
    role = aws.iam.Role(name, assume_role_policy=partition.dns_suffix.apply(trust), tags=tags.named(name), opts=child)
    permissions: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy}",
            role=role.name,
            policy_arn=pulumi.Output.format("arn:{0}:iam::aws:policy/{1}", partition.partition, policy),
            opts=child,
        )
        for policy in policies
    ]
    return role.arn, permissions
