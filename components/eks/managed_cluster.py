"""ManagedCluster: Amazon EKS with one managed node group, or with nodes of its own choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Annotated

import pulumi
import pulumi_aws as aws
import pulumi_eks as eks
import pulumi_kubernetes as kubernetes

from components.base import tags
from components.base.protection import protection_of
from components.eks.access_entries import access_entries
from components.eks.add_on import NAMES, AddOn, AddOnArgs, configuration_of, version_of
from components.eks.auto_mode import AutoMode
from components.eks.cluster_key import ClusterKey, ClusterKeyArgs
from components.eks.control_plane_logs import LOGS, ControlPlaneLogs, ControlPlaneLogsArgs
from components.eks.node_group import NodeGroup, NodeGroupArgs
from components.eks.nodes import AutoNodes, ManagedNodes
from components.package.limits import BLOCK, LOG_DAYS, AtLeast, Each, Like, OneOf


@dataclass(frozen=True)
class ManagedClusterArgs:
    """What a ManagedCluster is made from."""

    vpc_id: pulumi.Input[str]
    #: In at least two zones. The nodes live here, and the control plane's network interfaces.
    private_subnet_ids: Annotated[Sequence[pulumi.Input[str]], AtLeast(2)]
    #: A minor, "1.36".
    kubernetes_version: Annotated[str, Like(r"1\.\d+", "1.36")]
    service_cidr: IPv4Network
    #: IPv4 blocks that reach the public endpoint.
    api_cidrs: Annotated[Sequence[str], AtLeast(1), Each(BLOCK)]
    #: IAM roles and users that administer the cluster, besides the one that creates it.
    admin_arns: Sequence[str] = ()
    #: IAM roles and users that see everything in it, Secrets too, and change nothing.
    viewer_arns: Sequence[str] = ()
    #: Days that CloudWatch keeps the control plane's logs.
    log_days: Annotated[int, OneOf(LOG_DAYS)] = 30
    #: Add-on -> version, where it shall not be the one of components/eks/add_on.py.
    add_on_versions: Annotated[Mapping[str, str], Each(OneOf(NAMES))] = field(default_factory=dict)
    nodes: ManagedNodes | AutoNodes = field(default_factory=ManagedNodes)
    #: Neither EKS nor Pulumi deletes or replaces the cluster until both are told to.
    protected: bool = False
    #: EKS's name for it; who renames the component, with an alias, says its old name here. None: the component's name.
    cluster_name: str | None = None


class ManagedCluster(pulumi.ComponentResource):
    """A cluster whose control plane AWS runs. What `provider` makes comes when the nodes are Ready and have DNS."""

    #: As EKS knows it.
    cluster_name: pulumi.Output[str]
    #: URL of the API server.
    endpoint: pulumi.Output[str]
    #: JSON; it asks `aws eks get-token` for a token. A secret.
    kubeconfig: pulumi.Output[str]
    #: None with AutoNodes, as is the release.
    node_group_name: pulumi.Output[str | None]
    node_release_version: pulumi.Output[str | None]
    node_role_arn: pulumi.Output[str]
    provider: kubernetes.Provider

    def __init__(self, name: str, args: ManagedClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:cluster:ManagedCluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        partition = aws.get_partition_output(opts=pulumi.InvokeOptions(parent=self))
        known_as = args.cluster_name or name
        key = ClusterKey(f"{name}-cluster", ClusterKeyArgs(known_as), child)
        logs = ControlPlaneLogs(f"{name}-control-plane", ControlPlaneLogsArgs(known_as, args.log_days, key.arn), child)
        auto = AutoMode(f"{name}-auto-nodes", child) if isinstance(args.nodes, AutoNodes) else None
        before = [logs, *([auto] if auto else [])]  # they go after the cluster
        kept = [protection_of("aws:eks/cluster:Cluster")] if args.protected else None
        cluster = eks.Cluster(
            name,
            name=known_as,
            version=args.kubernetes_version,
            vpc_id=args.vpc_id,
            private_subnet_ids=args.private_subnet_ids,
            kubernetes_service_ip_address_range=str(args.service_cidr),
            authentication_mode=eks.AuthenticationMode.API,
            access_entries=access_entries(args.admin_arns, args.viewer_arns, partition.partition),
            endpoint_private_access=True,
            endpoint_public_access=True,
            public_access_cidrs=args.api_cidrs,
            enabled_cluster_log_types=LOGS,
            encryption_config_key_arn=key.arn,
            # EKS's default, EXTENDED, goes on to cost six times as much when a minor's standard support ends.
            upgrade_policy=aws.eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
            skip_default_node_group=True,
            deletion_protection=args.protected,
            # Neither EKS's own copies nor pulumi-eks' add-ons, which take the newest version at every update.
            bootstrap_self_managed_addons=False,
            auto_mode=auto.options if auto else None,
            kube_proxy_addon_options=eks.KubeProxyAddonOptionsArgs(enabled=False),
            coredns_addon_options=eks.CoreDnsAddonOptionsArgs(enabled=False),  # else in Auto Mode: pulumi-eks#1726
            use_default_vpc_cni=True,
            tags=tags.common(),
            opts=pulumi.ResourceOptions(parent=self, depends_on=before, transforms=kept),
        )
        self.cluster_name, self.endpoint = cluster.eks_cluster.name, cluster.core.endpoint
        self.kubeconfig = pulumi.Output.secret(cluster.kubeconfig_json)
        needed: pulumi.Resource = cluster
        if isinstance(args.nodes, ManagedNodes):  # what the add-ons are is part of Auto Mode
            nodes, needed = self._nodes(name, args, args.nodes, cluster)
            self.node_group_name, self.node_release_version = nodes.node_group_name, nodes.release_version
            self.node_role_arn = nodes.role_arn
        elif auto:
            self.node_group_name = self.node_release_version = pulumi.Output.from_input(None)
            self.node_role_arn = auto.role_arn
        after = pulumi.ResourceOptions(parent=self, depends_on=[needed])
        self.provider = kubernetes.Provider(name, kubeconfig=self.kubeconfig, opts=after)
        told = ("cluster_name", "endpoint", "kubeconfig", "node_group_name", "node_release_version", "node_role_arn")
        self.register_outputs({each: getattr(self, each) for each in told})

    def _nodes(
        self, name: str, args: ManagedClusterArgs, nodes: ManagedNodes, cluster: eks.Cluster
    ) -> tuple[NodeGroup, aws.eks.Addon]:
        """The node group after the add-ons that it needs, and DNS, which needs nodes."""

        def add_on(which: str, *needs: pulumi.Resource) -> aws.eks.Addon:
            version = version_of(which, args.kubernetes_version, args.add_on_versions)
            after = pulumi.ResourceOptions(parent=self, depends_on=list(needs))
            chosen = AddOnArgs(self.cluster_name, which, version, configuration_of(which))
            return AddOn(f"{name}-{which}", chosen, after).resource

        needed = [add_on(each) for each in ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")]
        group = NodeGroup(
            f"{name}-nodes",
            NodeGroupArgs(
                cluster_name=self.cluster_name,
                kubernetes_version=cluster.eks_cluster.version,
                subnet_ids=args.private_subnet_ids,
                nodes=nodes.count,
                instance_type=nodes.instance_type,
                release_version=nodes.release_version,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=needed),
        )
        add_on("metrics-server", group)
        return group, add_on("coredns", group)
