"""Node and Pod objects, as the API server has them, read for what a node group must do about them."""

from __future__ import annotations

import json

from lab.cloud.eks.model import Json
from lab.cloud.eks.node_bootstrap import EFFECTS

#: Annotation with what a Node has from its group.
GIVEN = "lab.twinplane/given"
#: Taints of a node that no pod can run on yet, for all that it says Ready: the cloud controller, and then the node
#: lifecycle controller, take them away a moment later.
STARTING = {"node.cloudprovider.kubernetes.io/uninitialized", "node.kubernetes.io/not-ready"}


def is_ready(node: Json) -> bool:
    """Returns whether a Node object is Ready, and open for pods."""
    conditions = node.get("status", {}).get("conditions", [])
    taints = {taint["key"] for taint in node.get("spec", {}).get("taints", [])}
    return not taints & STARTING and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def adjust(node: Json, api: Json) -> Json:
    """Returns the patch that gives a running Node the labels and taints of its group; {} where it has them.

    The Node remembers which of its labels and taints are the group's, so that removed ones go.
    """
    metadata, spec = node["metadata"], node.get("spec", {})
    kept = json.loads(metadata.get("annotations", {}).get(GIVEN, '{"labels": [], "taints": []}'))
    wanted = [{"key": t["key"], "value": t.get("value", ""), "effect": EFFECTS[t["effect"]]} for t in api["taints"]]
    names = [[taint["key"], taint["effect"]] for taint in wanted]
    given = json.dumps({"labels": sorted(api["labels"]), "taints": sorted(names)})
    labels = {name: None for name in kept["labels"] if name not in api["labels"]} | api["labels"]
    missing = any(metadata.get("labels", {}).get(name) != value for name, value in labels.items())
    present = spec.get("taints", [])
    others = [taint for taint in present if [taint["key"], taint["effect"]] not in names + kept["taints"]]
    tainted = all(taint in present for taint in wanted) and len(present) == len(others) + len(wanted)
    if tainted and not missing and (given == metadata.get("annotations", {}).get(GIVEN) or not (labels or wanted)):
        return {}
    change: Json = {"metadata": {"labels": labels, "annotations": {GIVEN: given}}}
    # A patch replaces the list, in which others write while a node starts.
    return change if tainted else change | {"spec": {"taints": [*others, *wanted]}}


def waits(pod: Json) -> bool:
    """Returns whether a pod waits for a node that would take it; those of DaemonSets wait for their own."""
    conditions = pod.get("status", {}).get("conditions", [])
    unschedulable = any(each["type"] == "PodScheduled" and each.get("reason") == "Unschedulable" for each in conditions)
    return unschedulable and must_move(pod) and "deletionTimestamp" not in pod["metadata"]


def must_move(pod: Json) -> bool:
    """Returns whether a drain waits for this pod: not for those of DaemonSets, of files, or at their end."""
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences", [])
    return (
        not any(owner["kind"] == "DaemonSet" and owner.get("controller") for owner in owners)
        and "kubernetes.io/config.mirror" not in metadata.get("annotations", {})
        and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
    )
