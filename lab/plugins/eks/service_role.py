"""The role that EKS takes to manage a cluster."""

import hashlib
import json
from typing import Any

import pulumi

from lab.plugins.eks.inputs import given
from lab.plugins.eks.resources import Resource, function

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Effect": "Allow",
            "Principal": {"Service": ["eks.amazonaws.com"]},
        }
    ],
}
#: Managed policies that the role has, and those of one that runs EKS Auto Mode, too.
POLICIES = ("AmazonEKSClusterPolicy",)
AUTO_POLICIES = (
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)


class ServiceRole(pulumi.ComponentResource):
    """The role that EKS takes to manage the cluster."""

    def __init__(self, name: str, tags: Any, opts: pulumi.ResourceOptions, auto: bool) -> None:
        super().__init__("eks:index:ServiceRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = {
            "description": "Allows EKS to manage clusters on your behalf.",
            "assumeRolePolicy": json.dumps(TRUST, separators=(",", ":")),
        }
        self.role = Resource("aws:iam/role:Role", f"{name}-role", {**role, **given(tags=tags)}, child)
        partition = function("aws:index/getPartition:getPartition", {}, self)
        self.policies: list[pulumi.Resource] = []
        for policy in (*POLICIES, *(AUTO_POLICIES if auto else ())):
            # The attachment's name is a hash of the policy's ARN in the aws partition, as in the original.
            arn = f"arn:aws:iam::aws:policy/{policy}"
            digest = hashlib.sha1(arn.encode(), usedforsecurity=False).hexdigest()[:8]
            own = pulumi.Output.format(
                "arn:{0}:iam::aws:policy/{1}", partition.apply(lambda at: at["partition"]), policy
            )
            attached = {"policyArn": own, "role": self.role.id}
            self.policies.append(
                Resource("aws:iam/rolePolicyAttachment:RolePolicyAttachment", f"{name}-{digest}", attached, child)
            )
        self.register_outputs({})
