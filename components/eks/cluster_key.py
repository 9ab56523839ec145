"""ClusterKey: the KMS key of one EKS cluster's Secrets and of its control plane's logs."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.base.policy_document import policy
from components.eks.control_plane_logs import group_name


@dataclass(frozen=True)
class ClusterKeyArgs:
    """What a ClusterKey is made from."""

    #: As EKS knows it. The key encrypts its log group, too; no other may use it.
    cluster_name: str


class ClusterKey(pulumi.ComponentResource):
    """A key that changes every year, with an alias. EKS uses it by a grant that the cluster's creator gives."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: ClusterKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:ClusterKey", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        of_child = pulumi.InvokeOptions(parent=self)
        policy = pulumi.Output.all(
            partition=aws.get_partition_output(opts=of_child),
            region=aws.get_region_output(opts=of_child),
            caller=aws.get_caller_identity_output(opts=of_child),
        ).apply(
            lambda known: key_policy(
                partition=known["partition"].partition,
                dns_suffix=known["partition"].dns_suffix,
                region=known["region"].region,
                account=known["caller"].account_id,
                log_group_name=group_name(args.cluster_name),
            )
        )
        key = aws.kms.Key(
            name,
            description=f"Secrets and control plane logs of {name}",
            policy=policy,
            enable_key_rotation=True,
            deletion_window_in_days=7,  # the least that KMS takes; the cluster is gone before
            tags=tags.named(name),
            opts=child,
        )
        aws.kms.Alias(name, name=f"alias/{args.cluster_name}-cluster", target_key_id=key.key_id, opts=child)
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})


def key_policy(*, partition: str, dns_suffix: str, region: str, account: str, log_group_name: str) -> str:
    """Key policy: IAM of the account decides who else uses it, and CloudWatch for that log group
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html)."""
    group = f"arn:{partition}:logs:{region}:{account}:log-group:{log_group_name}"
    statements = [
        {
            "Sid": "Account",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "Logs",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{region}.{dns_suffix}"},
            "Action": ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            "Resource": "*",
            "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": group}},
        },
    ]
    return policy(*statements)
