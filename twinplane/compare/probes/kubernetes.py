"""What the Kubernetes API tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get

SYSTEM = "kube-system"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


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


def pods(namespace: str) -> Probe[tuple[Pod, ...]]:
    """Pods of a namespace. kube-system shows control-plane components only where kubelets of this cluster run them."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    return Probe("pods", Get(path), lambda answer: tuple(_pod(item) for item in answer["items"]))


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


def leases() -> Probe[tuple[Lease, ...]]:
    """Leases of kube-system: who leads, and when it last said so. They outlive what wrote them."""
    return Probe("leases", Get(LEASES), lambda answer: tuple(_lease(item) for item in answer["items"]))


def api_endpoints() -> Probe[tuple[str, ...]]:
    """Addresses behind the Service `kubernetes`: where the API servers really listen."""
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    return Probe("api_endpoints", Get(f"{slices}?labelSelector=kubernetes.io/service-name=kubernetes"), _addresses)


def _addresses(answer: dict[str, Any]) -> tuple[str, ...]:
    slices = (each.get("endpoints") or [] for each in answer["items"])
    return tuple(sorted(address for endpoints in slices for each in endpoints for address in each["addresses"]))


def api_version() -> Probe[str]:
    """Version of the API server that answers, e.g. "v1.36.3"."""
    return Probe("api_version", Get("/version"), lambda answer: str(answer["gitVersion"]))


def api_health() -> Probe[dict[str, bool]]:
    """The API server's own checks, by name; `etcd` is one of them. Answered with any status."""
    return Probe("api_health", Get("/readyz?verbose", text=True), _checks)


def _checks(answer: str) -> dict[str, bool]:
    return {name: sign == "+" for sign, name in re.findall(r"^\[([+-])\](\S+)", answer, re.MULTILINE)}


@dataclass(frozen=True)
class Status:
    """What the API server heard when it asked a component on its own machine."""

    healthy: bool
    message: str


def component_statuses() -> Probe[dict[str, Status]]:
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


def nodes() -> Probe[tuple[Node, ...]]:
    """All Nodes, by name."""
    return Probe("nodes", Get("/api/v1/nodes"), _nodes)


def _nodes(answer: dict[str, Any]) -> tuple[Node, ...]:
    return tuple(sorted((_node(item) for item in answer["items"]), key=lambda node: node.name))


@dataclass(frozen=True)
class Deployment:
    """A Deployment: how many replicas it should have, and how many are ready."""

    name: str
    namespace: str
    replicas: int
    ready: int
    #: Keys of taints that its pods tolerate; "" tolerates all.
    tolerates: tuple[str, ...]


def deployments(namespace: str) -> Probe[tuple[Deployment, ...]]:
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


def kubeadm_config() -> Probe[bool]:
    """Does the cluster hold the ConfigMap that `kubeadm init` writes? An empty etcd does not, nor does EKS."""
    path = f"/api/v1/namespaces/{SYSTEM}/configmaps?fieldSelector=metadata.name%3Dkubeadm-config"
    return Probe("kubeadm_config", Get(path), lambda answer: bool(answer["items"]))


def network_policies() -> Probe[tuple[str, ...]]:
    """NetworkPolicy objects, as "namespace/name". The API server takes them whether anybody acts on them or not."""
    return Probe("network_policies", Get("/apis/networking.k8s.io/v1/networkpolicies"), _names)


def _names(answer: dict[str, Any]) -> tuple[str, ...]:
    found = (each["metadata"] for each in answer["items"])
    return tuple(sorted(f"{each['namespace']}/{each['name']}" for each in found))


def vpc_cni_policies() -> Probe[bool]:
    """Do Amazon's VPC CNI and its controller act on them? A ConfigMap says so, also in EKS Auto Mode
    (https://docs.aws.amazon.com/eks/latest/userguide/auto-net-pol.html)."""
    path = f"/api/v1/namespaces/{SYSTEM}/configmaps?fieldSelector=metadata.name%3Damazon-vpc-cni"
    return Probe("vpc_cni_policies", Get(path), _enabled)


def _enabled(answer: dict[str, Any]) -> bool:
    return any((each.get("data") or {}).get("enable-network-policy-controller") == "true" for each in answer["items"])
