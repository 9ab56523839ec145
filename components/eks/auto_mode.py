"""AutoMode: what EKS Auto Mode needs to start nodes by itself."""

from __future__ import annotations

import pulumi
import pulumi_eks as eks

from components.eks.node_role import node_role

#: What a node of Auto Mode needs: to join, and to pull images.
#: https://docs.aws.amazon.com/eks/latest/userguide/auto-create-node-role.html
NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
#: Both that EKS has: one for what runs the cluster, one for all else.
POOLS = ("general-purpose", "system")


class AutoMode(pulumi.ComponentResource):
    """The role of nodes that EKS chooses, starts, patches and ends, with disks and load balancers."""

    role_arn: pulumi.Output[str]
    #: For the cluster, which has no other nodes, and depends on this component: the role needs its permissions first.
    options: eks.AutoModeOptionsArgs

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        # Living stacks know the type by this name.
        super().__init__("twinplane:cluster:AutoNodes", name, None, opts)
        self.role_arn, _ = node_role(name, NODE_POLICIES, self)
        self.options = eks.AutoModeOptionsArgs(
            enabled=True,
            create_node_role=False,
            compute_config=eks.ClusterComputeConfigArgs(node_pools=list(POOLS), node_role_arn=self.role_arn),
        )
        self.register_outputs({"role_arn": self.role_arn})
