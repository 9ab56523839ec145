"""Updates: the records of what changes a cluster, a node group or an add-on while one may watch."""

from __future__ import annotations

import json
import time
import uuid

from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Cluster, Store, find


def begin(cluster: Cluster, kind: str, parameters: Json, *, nodegroup: str = "", addon: str = "") -> Json:
    """Adds an update that is InProgress. Returns what DescribeUpdate answers."""
    update: Json = {
        "id": str(uuid.uuid4()),
        "status": "InProgress",
        "type": kind,
        "params": [
            {"type": name, "value": value if isinstance(value, str) else json.dumps(value)}
            for name, value in parameters.items()
        ],
        "createdAt": time.time(),
        "errors": [],
    }
    cluster.updates[update["id"]] = {"api": update, "of": {"nodegroup": nodegroup, "addon": addon}}
    return update


def end(cluster: Cluster, update: str, errors: list[Json] | None = None) -> None:
    """Ends an update: Successful, or Failed with its errors ({"errorCode", "errorMessage", "resourceIds"})."""
    cluster.updates[update]["api"] |= {"status": "Failed" if errors else "Successful", "errors": errors or []}


def running(cluster: Cluster) -> list[Json]:
    """Returns the updates that are InProgress, each with `api` and `of`."""
    return [update for update in cluster.updates.values() if update["api"]["status"] == "InProgress"]


def describe(store: Store, given: Json) -> Json:
    """DescribeUpdate."""
    cluster = store.cluster(given["name"])
    wanted = {"nodegroup": given.get("nodegroupName", ""), "addon": given.get("addonName", "")}
    found = cluster.updates.get(given["updateId"])
    if found is None or found["of"] != wanted:
        raise EksError("ResourceNotFoundException", f"No update found for id: {given['updateId']}")
    return {"update": found["api"]}


def list_updates(store: Store, given: Json) -> Json:
    """ListUpdates."""
    cluster = find(store.read(), given["name"])
    wanted = {"nodegroup": given.get("nodegroupName", ""), "addon": given.get("addonName", "")}
    return {"updateIds": [name for name, update in cluster.updates.items() if update["of"] == wanted]}
