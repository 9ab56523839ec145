"""The cluster that EKS runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call


@dataclass(frozen=True)
class EksCluster:
    """A cluster that EKS says it runs."""

    name: str
    status: str
    version: str
    platform_version: str
    endpoint: str
    #: STANDARD or EXTENDED support after the version's first 14 months.
    support: str
    #: EKS Auto Mode: nodes come when pods wait, and CoreDNS runs on them outside the cluster's sight.
    auto_mode: bool


def probe(name: str) -> Probe[EksCluster]:
    """Does EKS run a cluster of this name in the account? Asked of both kinds."""
    return Probe("eks_cluster", Call("eks", "describe_cluster", {"name": name}), _eks_cluster)


def _eks_cluster(answer: dict[str, Any]) -> EksCluster:
    found = answer["cluster"]
    return EksCluster(
        name=found["name"],
        status=found["status"],
        version=found["version"],
        platform_version=found.get("platformVersion", ""),
        endpoint=found.get("endpoint", ""),
        support=found.get("upgradePolicy", {}).get("supportType", ""),
        auto_mode=bool((found.get("computeConfig") or {}).get("enabled")),
    )
