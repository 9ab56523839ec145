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


class ServiceRole(pulumi.ComponentResource):
    """The role that EKS takes to manage the cluster."""

    def __init__(self, name: str, tags: Any, opts: pulumi.ResourceOptions) -> None:
        super().__init__("eks:index:ServiceRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = {
            "description": "Allows EKS to manage clusters on your behalf.",
            "assumeRolePolicy": json.dumps(TRUST, separators=(",", ":")),
        }
        self.role = Resource("aws:iam/role:Role", f"{name}-role", {**role, **given(tags=tags)}, child)
        partition = function("aws:index/getPartition:getPartition", {}, self)
        # The attachment's name is a hash of the policy's ARN in the aws partition, as in the original.
        digest = hashlib.sha1(b"arn:aws:iam::aws:policy/AmazonEKSClusterPolicy", usedforsecurity=False).hexdigest()[:8]
        arn = partition.apply(lambda found: f"arn:{found['partition']}:iam::aws:policy/AmazonEKSClusterPolicy")
        self.policies: list[pulumi.Resource] = [
            Resource(
                "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                f"{name}-{digest}",
                {"policyArn": arn, "role": self.role.id},
                child,
            )
        ]
        self.register_outputs({})
