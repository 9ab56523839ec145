"""The sample app on both kinds of cluster, with the parts that the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.eks.managed_cluster import ManagedCluster
from components.identity.pod_identity import EksIdentity, OidcIdentity
from components.kubeadm.self_managed_cluster import SelfManagedCluster
from components.network.network import Network
from components.sample_app.sample_app import SampleApp, SampleAppArgs
from stacks import balancer, ingress, storage
from stacks.settings import Settings


def build(
    settings: Settings,
    network: Network,
    cluster: ManagedCluster | SelfManagedCluster,
    identity: EksIdentity | OidcIdentity,
    *,
    driver_needs: Sequence[pulumi.Resource],
    needs: Sequence[pulumi.Resource],
) -> SampleApp:
    """Makes the app after `needs`, and the driver of its volumes after `driver_needs`."""
    return SampleApp(
        f"{settings.name}-sample-app",
        SampleAppArgs(
            image=settings.app_image,
            balancer=balancer.build(settings),
            storage_class=storage.build(settings, identity, cluster.kubeconfig, cluster.provider, driver_needs),
            hosts=ingress.build(settings, network, identity, cluster.provider, needs),
        ),
        pulumi.ResourceOptions(providers={"kubernetes": cluster.provider}, depends_on=list(needs)),
    )
