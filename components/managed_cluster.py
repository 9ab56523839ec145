"""ManagedCluster: Amazon EKS with one managed node group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes

from components import tags
from components.node_group import NodeGroup, NodeGroupArgs

#: All there are, https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")


@dataclass(frozen=True)
class ManagedClusterArgs:
    """What a ManagedCluster is made from."""

    vpc_id: pulumi.Input[str]
    #: In at least two zones. The nodes live here, and the control plane's network interfaces.
    private_subnet_ids: Sequence[pulumi.Input[str]]
    #: A minor, "1.36".
    kubernetes_version: str
    service_cidr: IPv4Network
    #: IPv4 blocks that reach the public endpoint.
    api_cidrs: Sequence[str]
    #: IAM roles and users that administer the cluster, besides the one that creates it.
    admin_arns: Sequence[str] = ()
    nodes: int = 2
    instance_type: str = "t3.medium"
    #: Release of the node image, "1.36.3-20260901". None: the newest at creation.
    node_release_version: str | None = None


class ManagedCluster(pulumi.ComponentResource):
    """A cluster whose control plane AWS runs. Its outputs are known when the nodes are Ready."""

    #: URL of the API server.
    endpoint: pulumi.Output[str]
    #: JSON; it asks `aws eks get-token` for a token. A secret.
    kubeconfig: pulumi.Output[str]
    node_group_name: pulumi.Output[str]
    node_release_version: pulumi.Output[str]
    node_role_arn: pulumi.Output[str]
    #: For what runs in the cluster.
    provider: kubernetes.Provider

    def __init__(self, name: str, args: ManagedClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:ManagedCluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self))

        cluster = eks.Cluster(
            name,
            name=name,
            version=args.kubernetes_version,
            vpc_id=args.vpc_id,
            private_subnet_ids=args.private_subnet_ids,
            kubernetes_service_ip_address_range=str(args.service_cidr),
            authentication_mode=eks.AuthenticationMode.API,
            access_entries={arn: _admin(arn, partition.partition) for arn in args.admin_arns},
            endpoint_private_access=True,
            endpoint_public_access=True,
            public_access_cidrs=args.api_cidrs,
            enabled_cluster_log_types=LOGS,
            # EKS' default, EXTENDED, goes on to cost six times as much when a minor's standard support ends.
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            skip_default_node_group=True,
            tags=tags.common(),
            opts=child,
        )

        nodes = NodeGroup(
            f"{name}-nodes",
            NodeGroupArgs(
                cluster=cluster,
                subnet_ids=args.private_subnet_ids,
                nodes=args.nodes,
                instance_type=args.instance_type,
                release_version=args.node_release_version,
            ),
            child,
        )

        self.endpoint = cluster.core.endpoint
        self.node_group_name = nodes.node_group_name
        self.node_release_version = nodes.release_version
        self.node_role_arn = nodes.role_arn
        self.kubeconfig = pulumi.Output.secret(
            pulumi.Output.all(cluster.kubeconfig_json, nodes.node_group_name).apply(lambda known: str(known[0]))
        )
        self.provider = kubernetes.Provider(name, kubeconfig=self.kubeconfig, opts=child)
        self.register_outputs(
            {
                "endpoint": self.endpoint,
                "kubeconfig": self.kubeconfig,
                "node_group_name": self.node_group_name,
                "node_release_version": self.node_release_version,
                "node_role_arn": self.node_role_arn,
            }
        )


def _admin(arn: str, partition: pulumi.Input[str]) -> eks.AccessEntryArgs:
    policy = pulumi.Output.format("arn:{0}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", partition)
    return eks.AccessEntryArgs(
        principal_arn=arn,
        access_policies={
            "admin": eks.AccessPolicyAssociationArgs(
                policy_arn=policy, access_scope=aws.eks.AccessPolicyAssociationAccessScopeArgs(type="cluster")
            )
        },
    )
