"""Health of the scheduler, the controller-manager and etcd, as the API server hears it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


@dataclass(frozen=True)
class Status:
    """What the API server heard when it asked a component on its own machine."""

    healthy: bool
    message: str


def probe() -> Probe[dict[str, Status]]:
    """Health of scheduler, controller-manager and etcd, by the deprecated but still served componentstatuses."""
    return Probe("component_statuses", Get("/api/v1/componentstatuses"), _statuses)


def _statuses(answer: dict[str, Any]) -> dict[str, Status]:
    found = {}
    for item in answer["items"]:
        condition = next((each for each in item.get("conditions", []) if each["type"] == "Healthy"), None)
        if condition:
            message = condition.get("message") or condition.get("error") or ""
            found[item["metadata"]["name"]] = Status(condition["status"] == "True", message)
    return found
