"""A node group of an EKS cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call


@dataclass(frozen=True)
class NodeGroup:
    """An EKS node group. `release_version` is that of its image, e.g. "1.36.3-20260901"."""

    name: str
    status: str
    version: str
    release_version: str
    ami_type: str


def probe(cluster: str, name: str) -> Probe[NodeGroup]:
    """One node group of an EKS cluster."""
    call = Call("eks", "describe_nodegroup", {"clusterName": cluster, "nodegroupName": name})
    return Probe("node_group", call, _node_group)


def _node_group(answer: dict[str, Any]) -> NodeGroup:
    found = answer["nodegroup"]
    return NodeGroup(
        name=found["nodegroupName"],
        status=found["status"],
        version=found.get("version", ""),
        release_version=found.get("releaseVersion", ""),
        ami_type=found.get("amiType", ""),
    )
