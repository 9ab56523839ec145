"""Which nodes of a group start and which go next: decided from what is seen, so that it may be asked at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """One node of a group."""

    token: str
    phase: str  # joining | ready | draining | leaving
    ready: bool  # in the cluster's own eyes, now
    current: bool  # of the release that the group shall have


@dataclass(frozen=True)
class Plan:
    """What to do now; nothing of both and `done` when the group is what it shall be."""

    launch: int
    drain: tuple[str, ...]
    done: bool


def plan(nodes: Sequence[Seen], desired: int, at_once: int) -> Plan:
    """-> the next steps towards `desired` ready nodes of the current release.

    As EKS by default: first a new node, then an old one goes, so that never fewer than `desired` are ready; `at_once`
    (>= 1) old ones at a time. Nodes that are not of use go first: old before current, unready before ready.
    """
    staying = [node for node in nodes if node.phase in {"joining", "ready"}]
    draining = [node for node in nodes if node.phase == "draining"]
    current = [node for node in staying if node.current]
    old = [node for node in staying if not node.current]
    launch = max(0, min(desired - len(current), desired + (at_once if old else 0) - len(staying) - len(draining)))
    if not old:
        launch = max(0, desired - len(current))
    ready = [node for node in staying if node.ready]
    useless = [node for node in old if not node.ready]
    surplus = max(0, len(staying) - desired - len(useless))
    # Only as many as leave `desired` ready ones behind.
    spare = max(0, len(ready) - desired)
    limit = max(0, at_once - len(draining)) if old else surplus
    order = sorted((node for node in staying if node.ready), key=lambda node: node.current)
    if not old:
        unready = [node for node in staying if not node.ready]
        useless = unready[:surplus]
        limit = surplus - len(useless)
        order = list(reversed(order))
    drain = [node.token for node in [*useless, *order[: min(spare, limit)]]]
    done = not drain and not launch and len(nodes) == len(current) == desired and len(ready) == desired
    return Plan(launch, tuple(drain), done)
