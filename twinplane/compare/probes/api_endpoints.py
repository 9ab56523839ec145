"""Where the API servers listen."""

from __future__ import annotations

from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


def probe() -> Probe[tuple[str, ...]]:
    """Addresses behind the Service `kubernetes`: where the API servers really listen."""
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    return Probe("api_endpoints", Get(f"{slices}?labelSelector=kubernetes.io/service-name=kubernetes"), _addresses)


def _addresses(answer: dict[str, Any]) -> tuple[str, ...]:
    slices = (each.get("endpoints") or [] for each in answer["items"])
    return tuple(sorted(address for endpoints in slices for each in endpoints for address in each["addresses"]))
