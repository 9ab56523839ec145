"""What of a living cluster its controllers keep load balancers for. Deleted with the cluster, it leaves them behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient

from twinplane.live.kubernetes import get
from twinplane.live.unanswered import Unanswered

#: Of Gateways, many a cluster has not even the kind.
PATHS = {
    "Service": "/api/v1/services",
    "Ingress": "/apis/networking.k8s.io/v1/ingresses",
    "Gateway": "/apis/gateway.networking.k8s.io/v1/gateways",
}


@dataclass(frozen=True)
class Balanced:
    """One object with a load balancer."""

    kind: str
    namespace: str
    name: str
    #: Host names of its load balancers, in lower case; none while there is none yet.
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def balanced(client: ApiClient) -> list[Balanced]:
    """Returns every object of the cluster that has a load balancer or is to get one. Raises Unanswered."""
    return [found for kind in PATHS for found in _of_kind(client, kind)]


def _of_kind(client: ApiClient, kind: str) -> Iterator[Balanced]:
    try:
        items = json.loads(get(client, PATHS[kind]))["items"]
    except Unanswered as error:
        if str(error).startswith("404 "):
            return
        raise
    for item in items:
        metadata, status = item["metadata"], item.get("status") or {}
        given: list[dict[str, Any]] = (status.get("loadBalancer") or {}).get("ingress") or []
        names = [each.get("hostname") or "" for each in given]
        names += [each.get("value") or "" for each in status.get("addresses") or []]
        addresses = tuple(name.lower() for name in names if name)
        # It may not go before the controller has let it, where a controller keeps something for it. An Ingress of
        # another controller shows an address, too.
        kept = metadata.get("finalizers") or (kind == "Service" and addresses)
        if kept and (kind != "Service" or item["spec"].get("type") == "LoadBalancer"):
            yield Balanced(kind, metadata["namespace"], metadata["name"], addresses)
