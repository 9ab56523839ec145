"""The NetworkPolicies of a cluster."""

from __future__ import annotations

from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


def probe() -> Probe[tuple[str, ...]]:
    """NetworkPolicy objects, as "namespace/name". The API server takes them whether anybody acts on them or not."""
    return Probe("network_policies", Get("/apis/networking.k8s.io/v1/networkpolicies"), _names)


def _names(answer: dict[str, Any]) -> tuple[str, ...]:
    found = (each["metadata"] for each in answer["items"])
    return tuple(sorted(f"{each['namespace']}/{each['name']}" for each in found))
