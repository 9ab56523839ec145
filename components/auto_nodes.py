"""AutoNodes: what EKS Auto Mode needs to start nodes by itself."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks

from components import tags
from components.node_group import node_trust
from components.ready import ready

#: What a node of Auto Mode needs: to join, and to pull images.
#: https://docs.aws.amazon.com/eks/latest/userguide/auto-create-node-role.html
NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
#: Both that EKS has: one for what runs the cluster, one for all else.
POOLS = ("general-purpose", "system")


class AutoNodes(pulumi.ComponentResource):
    """The role of nodes that EKS chooses, starts, patches and ends, with disks and load balancers."""

    role_arn: pulumi.Output[str]
    #: For the cluster, which has no other nodes.
    options: eks.AutoModeOptionsArgs

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:AutoNodes", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self))
        role = aws.iam.Role(
            name, assume_role_policy=partition.dns_suffix.apply(node_trust), tags=tags.named(name), opts=child
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
        self.role_arn = role.arn
        self.options = eks.AutoModeOptionsArgs(
            enabled=True,
            create_node_role=False,
            compute_config=eks.ClusterComputeConfigArgs(
                node_pools=list(POOLS), node_role_arn=ready(role.arn, *permissions)
            ),
        )
        self.register_outputs({"role_arn": self.role_arn})
