"""The registry that both kinds of stack have, where their settings name images."""

from __future__ import annotations

from typing import Any

import pulumi

from components.registry.container_registry import ContainerRegistry, ContainerRegistryArgs
from stacks.settings import Settings


def build(settings: Settings, *node_role_arns: pulumi.Input[str]) -> dict[str, Any]:
    """Makes it and returns its export, if there is one; the nodes of those roles may pull."""
    if not settings.registry_images:
        return {}
    registry = ContainerRegistry(
        f"{settings.name}-registry",
        ContainerRegistryArgs(
            images=settings.registry_images,
            prefix=settings.name,
            pull_role_arns=[*node_role_arns, *settings.registry_pull_roles],
            keep_releases=settings.registry_keep_releases,
        ),
    )
    return {"registry": registry.exported}
