"""NodeGroup: EC2 machines that EKS starts, joins, and replaces by newer ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.eks.launch_template import LaunchTemplate, LaunchTemplateArgs
from components.eks.node_role import node_role

#: What a node needs: to join, to give pods addresses of the VPC, to pull images.
#: https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly")

#: As EKS has it, and stacks/prices.py.
VOLUME_GIB = 20


@dataclass(frozen=True)
class NodeGroupArgs:
    """What a NodeGroup is made from."""

    cluster_name: pulumi.Input[str]
    #: Minor of the control plane, "1.36", known when it has it: EKS takes no kubelet that is newer.
    kubernetes_version: pulumi.Input[str]
    #: Where the nodes live; pulumi-eks' default would take the public ones too.
    subnet_ids: Sequence[pulumi.Input[str]]
    nodes: int
    instance_type: str
    #: Release of the node image, "1.36.3-20260901". None: the newest at creation.
    release_version: str | None
    #: So many nodes an update may replace at once, each after another one has joined.
    max_unavailable: int = 1


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
        self.role_arn, permissions = node_role(name, NODE_POLICIES, self)
        template = LaunchTemplate(name, LaunchTemplateArgs(args.instance_type, VOLUME_GIB), child)
        # Not pulumi-eks' ManagedNodeGroup, which knows no update_config. The instance type is the template's: another
        # one is a new version of it, to which EKS rolls the nodes, drained under their budgets. A group that was made
        # with types of its own cannot take that; under this name it is followed by another, and then drained.
        nodes = aws.eks.NodeGroup(
            f"{name}-group",
            cluster_name=args.cluster_name,
            version=args.kubernetes_version,
            node_role_arn=self.role_arn,
            subnet_ids=args.subnet_ids,
            ami_type="AL2023_x86_64_STANDARD",
            release_version=args.release_version,
            launch_template=aws.eks.NodeGroupLaunchTemplateArgs(id=template.template_id, version=template.version),
            update_config=aws.eks.NodeGroupUpdateConfigArgs(max_unavailable=args.max_unavailable),
            scaling_config=aws.eks.NodeGroupScalingConfigArgs(
                desired_size=args.nodes, min_size=args.nodes, max_size=args.nodes
            ),
            tags=tags.named(name),
            # Without its permissions a node can neither join nor, at the end, give back its network interfaces.
            opts=pulumi.ResourceOptions(parent=self, depends_on=permissions),
        )

        self.node_group_name = nodes.node_group_name
        self.release_version = nodes.release_version
        self.register_outputs(
            {
                "node_group_name": self.node_group_name,
                "release_version": self.release_version,
                "role_arn": self.role_arn,
            }
        )
