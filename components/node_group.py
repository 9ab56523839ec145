"""NodeGroup: EC2 machines that EKS starts, joins, and replaces by newer ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from components import tags
from components.ready import ready

#: What a node needs: to join, to give pods addresses of the VPC, to pull images.
#: https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")


@dataclass(frozen=True)
class NodeGroupArgs:
    """What a NodeGroup is made from."""

    cluster: eks.Cluster
    #: Where the nodes live; pulumi-eks' default would take the public ones too.
    subnet_ids: Sequence[pulumi.Input[str]]
    nodes: int
    instance_type: str
    #: Release of the node image, "1.36.3-20260901". None: the newest at creation.
    release_version: str | None


class NodeGroup(pulumi.ComponentResource):
    """A managed node group on Amazon Linux 2023, and the role of its nodes."""

    #: As EKS knows it; known when the nodes are Ready.
    node_group_name: pulumi.Output[str]
    release_version: pulumi.Output[str]
    #: The nodes' role.
    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: NodeGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:NodeGroup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self))

        role = aws.iam.Role(
            name,
            assume_role_policy=partition.dns_suffix.apply(node_trust),
            tags=tags.named(name),
            opts=child,
        )
        permissions = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}",
                role=role.name,
                policy_arn=pulumi.Output.format("arn:{0}:iam::aws:policy/{1}", partition.partition, policy),
                opts=child,
            )
            for policy in NODE_POLICIES
        ]
        nodes = eks.ManagedNodeGroup(
            name,
            cluster=args.cluster,
            # Without its permissions a node can neither join nor, at the end, give back its network interfaces.
            node_role_arn=ready(role.arn, *permissions),
            subnet_ids=args.subnet_ids,
            operating_system=eks.OperatingSystem.AL2023,
            instance_types=[args.instance_type],
            release_version=args.release_version,
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                desired_size=args.nodes, min_size=args.nodes, max_size=args.nodes
            ),
            tags=tags.named(name),
            opts=child,
        )

        self.node_group_name = nodes.node_group.node_group_name
        self.release_version = nodes.node_group.release_version
        self.role_arn = role.arn
        self.register_outputs(
            {
                "node_group_name": self.node_group_name,
                "release_version": self.release_version,
                "role_arn": self.role_arn,
            }
        )


def node_trust(dns_suffix: str) -> str:
    """Trust policy of the nodes' role: EC2 may take it."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": f"ec2.{dns_suffix}"},
                    "Action": "sts:AssumeRole",
                }
            ],
        },
        sort_keys=True,
    )
