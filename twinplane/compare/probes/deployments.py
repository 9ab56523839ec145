"""The Deployments of a namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


@dataclass(frozen=True)
class Deployment:
    """A Deployment: how many replicas it should have, and how many are ready."""

    name: str
    namespace: str
    replicas: int
    ready: int
    #: Keys of taints that its pods tolerate; "" tolerates all.
    tolerates: tuple[str, ...]


def probe(namespace: str) -> Probe[tuple[Deployment, ...]]:
    """Deployments of a namespace."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    return Probe("deployments", Get(path), lambda answer: tuple(_deployment(item) for item in answer["items"]))


def _deployment(item: dict[str, Any]) -> Deployment:
    spec = item["spec"]
    tolerations = spec["template"]["spec"].get("tolerations") or []
    return Deployment(
        name=item["metadata"]["name"],
        namespace=item["metadata"]["namespace"],
        replicas=spec.get("replicas", 1),
        ready=item.get("status", {}).get("readyReplicas", 0),
        tolerates=tuple(each.get("key", "") for each in tolerations if each.get("effect") != "NoExecute"),
    )
