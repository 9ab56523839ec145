"""The pods of a namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get

SYSTEM = "kube-system"


@dataclass(frozen=True)
class Pod:
    """A pod. `source` is "api", or "file" for the mirror of a static pod."""

    name: str
    node: str
    source: str
    #: "Kind/name" of what owns it; a static pod's owner is its Node.
    owner: str
    ready: bool
    restarts: int
    #: Image of the first container, e.g. "registry.k8s.io/kube-scheduler:v1.36.3".
    image: str
    #: What it says it is: container name and `component` label.
    roles: tuple[str, ...]
    #: It has ended, or is about to.
    ending: bool


def _pod(item: dict[str, Any]) -> Pod:
    metadata, spec, status = item["metadata"], item["spec"], item.get("status", {})
    owners = metadata.get("ownerReferences") or [{"kind": "", "name": ""}]
    containers = status.get("containerStatuses") or []
    first = spec["containers"][0]
    base = first["image"].rpartition("/")[2].partition("@")[0].partition(":")[0]
    return Pod(
        name=metadata["name"],
        node=spec.get("nodeName", ""),
        source=metadata.get("annotations", {}).get("kubernetes.io/config.source", "api"),
        owner="/".join((owners[0]["kind"], owners[0]["name"])).strip("/"),
        ready=bool(containers) and all(each["ready"] for each in containers),
        restarts=sum(each["restartCount"] for each in containers),
        image=first["image"],
        roles=tuple(sorted({first["name"], base, metadata.get("labels", {}).get("component", base)})),
        ending="deletionTimestamp" in metadata or status.get("phase") in {"Succeeded", "Failed"},
    )


def probe(namespace: str) -> Probe[tuple[Pod, ...]]:
    """Pods of a namespace. kube-system shows control-plane components only where kubelets of this cluster run them."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    return Probe("pods", Get(path), lambda answer: tuple(_pod(item) for item in answer["items"]))
