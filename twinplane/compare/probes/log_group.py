"""Where CloudWatch keeps the logs of a control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call


@dataclass(frozen=True)
class LogGroup:
    """Where CloudWatch keeps the logs of a control plane. `days`: how long; 0 is for ever."""

    name: str
    days: int


def probe(cluster: str) -> Probe[LogGroup | Literal[False]]:
    """The log group that EKS writes to. False: there is none, as no control plane writes there but EKS's."""
    name = f"/aws/eks/{cluster}/cluster"

    def read(answer: dict[str, Any]) -> LogGroup | Literal[False]:
        days = [each.get("retentionInDays", 0) for each in answer["logGroups"] if each["logGroupName"] == name]
        return LogGroup(name, days[0]) if days else False

    return Probe("log_group", Call("logs", "describe_log_groups", {"logGroupNamePrefix": name}), read)
