"""FlowLogs: a record in CloudWatch of who connected to whom in a VPC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.base.policy_document import policy
from components.package.limits import LOG_DAYS, OneOf


@dataclass(frozen=True)
class FlowLogsArgs:
    """What FlowLogs are made from."""

    vpc_id: pulumi.Input[str]
    #: Days that records are kept: one of those that CloudWatch knows.
    days: Annotated[int, OneOf(LOG_DAYS)]


class FlowLogs(pulumi.ComponentResource):
    """Every connection of a VPC, accepted or rejected, in a log group of its own."""

    log_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:network:FlowLogs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        of_child = pulumi.InvokeOptions(parent=self)
        dns_suffix = aws.get_partition_output(opts=of_child).dns_suffix
        account = aws.get_caller_identity_output(opts=of_child).account_id

        group = aws.cloudwatch.LogGroup(name, retention_in_days=args.days, tags=tags.named(name), opts=child)
        role = aws.iam.Role(
            name,
            assume_role_policy=pulumi.Output.all(dns_suffix, account).apply(lambda known: trust(*known)),
            tags=tags.named(name),
            opts=child,
        )
        permission = aws.iam.RolePolicy(name, role=role.name, policy=group.arn.apply(write_to), opts=child)
        aws.ec2.FlowLog(
            name,
            vpc_id=args.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        self.log_group_name = group.name
        self.register_outputs({"log_group_name": self.log_group_name})


def trust(dns_suffix: str, account: str) -> str:
    """Trust policy: the flow logs of this account, and no other's, may take the role."""
    return policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": f"vpc-flow-logs.{dns_suffix}"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        }
    )


def write_to(log_group_arn: str) -> str:
    """Permission to write to that log group alone; AWS's own example allows all of them
    (https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html)."""
    actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return policy({"Effect": "Allow", "Action": actions, "Resource": [log_group_arn, f"{log_group_arn}:*"]})
