"""ControlPlaneLogs: where EKS writes what a control plane did."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags

#: All there are, https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")


@dataclass(frozen=True)
class ControlPlaneLogsArgs:
    """What ControlPlaneLogs are made from."""

    #: As EKS knows it.
    cluster_name: str
    #: Days that entries are kept: one of those that CloudWatch knows
    #: (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
    days: int
    #: Of the KMS key that encrypts them.
    key_arn: pulumi.Input[str]


class ControlPlaneLogs(pulumi.ComponentResource):
    """The log group, made before the cluster and gone after it: one that EKS makes by itself keeps entries for ever."""

    group: aws.cloudwatch.LogGroup

    def __init__(self, name: str, args: ControlPlaneLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:ControlPlaneLogs", name, None, opts)
        self.group = aws.cloudwatch.LogGroup(
            name,
            name=group_name(args.cluster_name),
            retention_in_days=args.days,
            kms_key_id=args.key_arn,
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"log_group_name": self.group.name})


def group_name(cluster: str) -> str:
    """The log group that EKS writes to, https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html."""
    return f"/aws/eks/{cluster}/cluster"
