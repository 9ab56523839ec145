"""Who leads, and when it last said so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


@dataclass(frozen=True)
class Lease:
    """A leader election or identity lease. `renewed` is None where nobody renews it."""

    name: str
    holder: str
    renewed: datetime | None
    #: Seconds after which others may take it.
    duration: int


def _lease(item: dict[str, Any]) -> Lease:
    spec = item.get("spec", {})
    renewed = spec.get("renewTime")
    return Lease(
        name=item["metadata"]["name"],
        holder=spec.get("holderIdentity") or "",
        renewed=datetime.fromisoformat(renewed) if renewed else None,
        duration=spec.get("leaseDurationSeconds") or 0,
    )


def probe() -> Probe[tuple[Lease, ...]]:
    """Leases of kube-system: who leads, and when it last said so. They outlive what wrote them."""
    return Probe("leases", Get(LEASES), lambda answer: tuple(_lease(item) for item in answer["items"]))
