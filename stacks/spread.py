"""How replicas stay on different nodes, in both kinds of stack."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as kubernetes

from components.addons.descheduler import IMAGE, Descheduler, DeschedulerArgs
from stacks.settings import ManagedSettings, Settings


def build(
    settings: Settings,
    kubeconfig: pulumi.Input[str],
    provider: kubernetes.Provider,
    machines: Sequence[pulumi.Input[str]] = (),
    needs: Sequence[pulumi.Resource] = (),
) -> list[pulumi.Resource]:
    """Makes the descheduler, after `needs`. Returns what workloads are to depend on.

    EKS Auto Mode has none: it moves pods itself, to fewer nodes, and the two would undo each other's work.
    """
    if isinstance(settings, ManagedSettings) and settings.node_mode == "auto":
        return list(needs)
    return [
        Descheduler(
            f"{settings.name}-descheduler",
            DeschedulerArgs(kubeconfig, machines, settings.descheduler_image or IMAGE),
            pulumi.ResourceOptions(providers={"kubernetes": provider}, depends_on=list(needs)),
        )
    ]
