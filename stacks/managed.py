"""The managed stack: EKS, and the sample app on it."""

from typing import Any

import pulumi

from components.base.record import Record, RecordArgs
from components.eks.managed_cluster import ManagedCluster, ManagedClusterArgs
from components.eks.nodes import AutoNodes, ManagedNodes
from components.network.network import Network, NetworkArgs
from stacks import exports, identity, living, parsers, registry, sample_app, spread, strays
from stacks.settings import ManagedSettings


def nodes(settings: ManagedSettings) -> ManagedNodes | AutoNodes:
    """Returns the nodes that the settings ask for."""
    if settings.node_mode == "auto":
        return AutoNodes()
    return ManagedNodes(settings.workers, settings.instance_type, settings.node_release_version)


def build(settings: ManagedSettings) -> dict[str, Any]:
    """Makes the stack's resources and returns its exports, as twinplane/outputs.py reads them."""
    name = settings.name
    Record(name, RecordArgs(settings.record))
    network = Network(
        name,
        NetworkArgs(
            cidr=settings.vpc_cidr,
            zones=settings.availability_zones,
            nat=settings.nat,
            interface_endpoints=settings.interface_endpoints,
            flow_log_days=settings.flow_log_days,
        ),
    )
    cluster = ManagedCluster(
        name,
        ManagedClusterArgs(
            vpc_id=network.vpc_id,
            private_subnet_ids=network.private_subnet_ids,
            kubernetes_version=parsers.minor(settings.kubernetes_version),
            service_cidr=settings.service_cidr,
            api_cidrs=settings.api_cidrs,
            admin_arns=settings.admin_arns,
            viewer_arns=settings.viewer_arns,
            log_days=settings.control_plane_log_days,
            add_on_versions=settings.add_on_versions,
            nodes=nodes(settings),
            protected=settings.deletion_protection,
        ),
        pulumi.ResourceOptions(depends_on=[network]),
    )
    strays.build(name, living.resources(), [cluster.node_group_name] if settings.node_mode == "managed" else [])
    pods = identity.of_managed(cluster)
    needs = spread.build(settings, cluster.kubeconfig, cluster.provider)
    app = sample_app.build(settings, network, cluster, pods, driver_needs=[cluster], needs=needs)
    return {
        **exports.common(settings, network, cluster, app),
        "kubernetesVersion": parsers.minor(settings.kubernetes_version),
        **(
            {"nodeGroupName": cluster.node_group_name, "nodeReleaseVersion": cluster.node_release_version}
            if settings.node_mode == "managed"
            else {}
        ),
        "nodeMode": settings.node_mode,
        **registry.build(settings, cluster.node_role_arn),
    }
