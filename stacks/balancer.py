"""The load balancer that the sample app has by a Service of its own, unless nobody shall reach it."""

from __future__ import annotations

from typing import Any

import pulumi

from components.network import Network
from stacks.settings import ManagedSettings, Settings


def build(settings: Settings, network: Network, *controller: pulumi.Output[str]) -> dict[str, Any]:
    """-> what a SampleApp takes of it. `controller` is known when there is one, where the stack makes its own.

    The Service comes after its controller and after the subnets that its balancer stands in, and goes before them.
    """
    known = pulumi.Output.all(*controller, *subnets(settings, network))
    return {
        "balancer_cidrs": settings.app_cidrs,
        "balancer_scheme": known.apply(lambda _: settings.ingress_scheme),
        "balancer_tagged": not (isinstance(settings, ManagedSettings) and settings.node_mode == "auto"),
    }


def subnets(settings: Settings, network: Network) -> list[pulumi.Output[str]]:
    """-> where controllers find a place for load balancers of the settings' scheme."""
    public = settings.ingress_scheme == "internet-facing"
    return network.public_subnet_ids if public else network.private_subnet_ids
