"""The engine's side of the components."""

import os
import signal
import sys
import threading
from typing import Any

import pulumi
import pulumi.provider

from lab.plugins.eks.cluster import TOKEN as CLUSTER
from lab.plugins.eks.cluster import Cluster
from lab.plugins.eks.node_group import TOKEN as NODE_GROUP
from lab.plugins.eks.node_group import ManagedNodeGroup
from lab.plugins.eks.resources import package_version, register_references
from lab.plugins.serving import engine_gone

COMPONENTS: dict[str, type[Cluster] | type[ManagedNodeGroup]] = {CLUSTER: Cluster, NODE_GROUP: ManagedNodeGroup}


class Eks(pulumi.provider.Provider):
    """Makes the components of COMPONENTS."""

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> pulumi.provider.ConstructResult:
        kind = COMPONENTS.get(resource_type)
        if kind is None:
            raise pulumi.RunError(f"{resource_type} is no component that the lab's eks plugin knows")
        component: Cluster | ManagedNodeGroup = kind(name, inputs, options or pulumi.ResourceOptions())
        return pulumi.provider.ConstructResult(component.urn, component.state)


def main() -> None:
    """Serves the engine whose address is the first argument."""
    register_references()
    leave = threading.Event()
    threading.Thread(target=engine_gone, args=(leave,), daemon=True).start()
    threading.Thread(target=lambda: (leave.wait(), os._exit(0)), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    pulumi.provider.main(Eks(package_version("eks") or "0.0.0"), sys.argv[1:])
