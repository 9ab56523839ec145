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
    """Returns the next steps towards `desired` ready nodes of the current release.

    As EKS by default: first a new node, then an old one goes, so that never fewer than `desired` are ready; `at_once`
    (>= 1) old ones at a time. Old nodes go before current ones, unready before ready.
    """
    staying = [node for node in nodes if node.phase in {"joining", "ready"}]
    draining = [node for node in nodes if node.phase == "draining"]
    current = [node for node in staying if node.current]
    updating = len(current) < len(staying)
    room = desired + (at_once if updating else 0) - len(staying) - len(draining)
    launch = max(0, min(desired - len(current), room))

    ready, fresh = sum(node.ready for node in staying), len(current)
    limit = at_once - len(draining) if updating else len(staying) - desired
    drain: list[str] = []
    for node in sorted(staying, key=lambda node: (node.current, node.ready)):
        spare = ready > desired if node.ready else fresh > desired or not node.current
        if spare and len(drain) < limit:
            drain.append(node.token)
            ready, fresh = ready - node.ready, fresh - node.current
    done = not drain and not launch and len(nodes) == len(current) == desired == ready
    return Plan(launch, tuple(drain), done)
