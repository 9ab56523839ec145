"""Who may do what in an EKS cluster, as access entries."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

#: https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
ADMINISTER, VIEW = "AmazonEKSClusterAdminPolicy", "AmazonEKSAdminViewPolicy"


def access_entries(
    admins: Sequence[str], viewers: Sequence[str], partition: pulumi.Input[str]
) -> dict[str, eks.AccessEntryArgs]:
    """IAM roles and users that may do everything in the whole cluster, and those that see everything in it, by ARN."""
    allowed = dict.fromkeys(admins, ("admin", ADMINISTER)) | dict.fromkeys(viewers, ("viewer", VIEW))
    return {arn: _entry(arn, partition, *what) for arn, what in allowed.items()}


def _entry(arn: str, partition: pulumi.Input[str], name: str, policy: str) -> eks.AccessEntryArgs:
    policy_arn = pulumi.Output.format("arn:{0}:eks::aws:cluster-access-policy/{1}", partition, policy)
    scope = aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
    association = eks.AccessPolicyAssociationArgs(policy_arn=policy_arn, access_scope=scope)
    return eks.AccessEntryArgs(principal_arn=arn, access_policies={name: association})
