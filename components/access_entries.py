"""Who may do what in an EKS cluster, as access entries."""

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks


def administrator(arn: str, partition: pulumi.Input[str]) -> eks.AccessEntryArgs:
    """An IAM role or user that may do everything in the whole cluster."""
    policy = pulumi.Output.format("arn:{0}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", partition)
    return eks.AccessEntryArgs(
        principal_arn=arn,
        access_policies={
            "admin": eks.AccessPolicyAssociationArgs(
                policy_arn=policy, access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
            )
        },
    )
