"""A ManagedCluster under mocks."""

from ipaddress import IPv4Network
from typing import Any

import pulumi

from components.eks.managed_cluster import ManagedCluster, ManagedClusterArgs
from tests.support.pulumi_mocks import Graph, run

MANAGED: dict[str, Any] = {
    "vpc_id": "vpc-1",
    "private_subnet_ids": ["subnet-1", "subnet-2"],
    "kubernetes_version": "1.36",
    "service_cidr": IPv4Network("172.20.0.0/16"),
    "api_cidrs": ["198.51.100.0/24"],
}


def managed(**changes: Any) -> Graph:
    def program() -> None:
        made = ManagedCluster("c", ManagedClusterArgs(**{**MANAGED, **changes}))
        pulumi.export("endpoint", made.endpoint)
        pulumi.export("kubeconfig", made.kubeconfig)
        pulumi.export("nodeGroupName", made.node_group_name)
        pulumi.export("nodeReleaseVersion", made.node_release_version)

    return run(program)
