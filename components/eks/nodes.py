"""The nodes of a managed cluster: a group of one's own choice, or those that EKS chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from components.package.limits import Between, Like


@dataclass(frozen=True)
class ManagedNodes:
    """A node group of equal machines."""

    count: Annotated[int, Between(1, 450)] = 2
    instance_type: Annotated[str, Like(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "t3.medium")] = "t3.medium"
    #: Release of the node image, "1.36.3-20260901". None: the newest at creation.
    release_version: str | None = None
    mode: Literal["managed"] = "managed"


@dataclass(frozen=True)
class AutoNodes:
    """EKS Auto Mode: EKS chooses the machines."""

    mode: Literal["auto"] = "auto"
