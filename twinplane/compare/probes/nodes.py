"""The Nodes of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


@dataclass(frozen=True)
class Node:
    """A Node object. `instance_id` is "" where no cloud says which machine it is."""

    name: str
    address: str
    ready: bool
    schedulable: bool
    control_plane: bool
    os: str
    kernel: str
    kubelet: str
    runtime: str
    instance_id: str
    #: Node group of a managed node, from its label.
    node_group: str
    #: The range that its pods get addresses from; "" where the cluster does not say.
    pod_range: str
    disk_pressure: bool
    #: Keys of the taints that keep pods away which do not tolerate them.
    taints: tuple[str, ...]


def _node(item: dict[str, Any]) -> Node:
    metadata, spec, status = item["metadata"], item.get("spec", {}), item["status"]
    labels, info = metadata.get("labels", {}), status["nodeInfo"]
    addresses = {each["type"]: each["address"] for each in status.get("addresses", [])}
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return Node(
        name=metadata["name"],
        address=addresses.get("InternalIP", ""),
        ready=conditions.get("Ready") == "True",
        schedulable=not spec.get("unschedulable", False),
        control_plane="node-role.kubernetes.io/control-plane" in labels,
        os=info["osImage"],
        kernel=info["kernelVersion"],
        kubelet=info["kubeletVersion"],
        runtime=info["containerRuntimeVersion"],
        instance_id=spec.get("providerID", "").rpartition("/")[2],
        node_group=labels.get("eks.amazonaws.com/nodegroup", ""),
        pod_range=spec.get("podCIDR", ""),
        disk_pressure=conditions.get("DiskPressure") == "True",
        taints=tuple(each["key"] for each in spec.get("taints") or [] if each["effect"] != "PreferNoSchedule"),
    )


def probe() -> Probe[tuple[Node, ...]]:
    """All Nodes, by name."""
    return Probe("nodes", Get("/api/v1/nodes"), _nodes)


def _nodes(answer: dict[str, Any]) -> tuple[Node, ...]:
    return tuple(sorted((_node(item) for item in answer["items"]), key=lambda node: node.name))
