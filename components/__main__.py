"""The components as a Pulumi package, for programs in any language: the engine starts this folder as a plugin."""

# ruff: noqa: E402 (the imports need the path)
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # in place of this folder, whose modules have a package

from pulumi.provider import main

from components.eks.managed_cluster import ManagedCluster, ManagedClusterArgs
from components.network.flow_logs import FlowLogs, FlowLogsArgs
from components.network.network import Network, NetworkArgs
from components.package.package import Package, offered
from components.registry.container_registry import ContainerRegistry, ContainerRegistryArgs

# Not among them: components whose arguments are objects of this program, such as SelfManagedCluster's machine image.
package = Package(
    [
        offered(ContainerRegistry, ContainerRegistryArgs),
        offered(FlowLogs, FlowLogsArgs),
        offered(ManagedCluster, ManagedClusterArgs),
        offered(Network, NetworkArgs),
    ],
    name="twinplane",
    namespace=None,
    version="0.1.0",
)
main(package, sys.argv[1:])
