"""What both kinds of stack export, as twinplane/outputs.py reads it."""

from __future__ import annotations

from typing import Any

import pulumi_aws as aws

from components.eks.managed_cluster import ManagedCluster
from components.kubeadm.self_managed_cluster import SelfManagedCluster
from components.network.network import Network
from components.sample_app.sample_app import SampleApp
from stacks.settings import Settings


def common(
    settings: Settings, network: Network, cluster: ManagedCluster | SelfManagedCluster, app: SampleApp
) -> dict[str, Any]:
    """Returns the exports that do not depend on the kind; the version is as the settings name it."""
    return {
        "kind": settings.kind,
        "clusterName": settings.name,
        "account": aws.get_caller_identity_output().account_id,
        "region": aws.get_region_output().region,
        "vpcId": network.vpc_id,
        "kubernetesVersion": settings.kubernetes_version,
        "apiEndpoint": cluster.endpoint,
        "kubeconfig": cluster.kubeconfig,
        "workload": app.exported,
    }
