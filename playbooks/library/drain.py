"""One round of a drain: asks the cluster to evict the pods of a node, and says which of them still wait for what."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubectl import Refused, controller, items, kubectl, name

DOCUMENTATION = """
module: drain
short_description: One round of a drain of a node
description:
  - Evicts the pods of a cordoned node by the eviction API, with kubectl. Pods of DaemonSets, mirror pods and finished
    pods stay. Call it again until it answers C(done).
  - A pod without a controller would not come back. It fails the drain, and nothing is evicted.
  - In check mode it looks and evicts nothing.
options:
  node: {type: str, required: true, description: The node's name.}
  deadline: {type: float, description: When the drain fails if pods are left, in seconds of this machine's clock.}
"""
#: Pods that a line names. The answer has all.
NAMED = 3


def leaves(pod: dict[str, Any]) -> bool:
    """Returns whether a drain takes the pod away from its node."""
    mirror = "kubernetes.io/config.mirror" in pod["metadata"].get("annotations", {})
    finished = pod["status"].get("phase") in {"Succeeded", "Failed"}
    return not (mirror or finished or controller(pod) == "DaemonSet")


def selects(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Returns whether a label selector matches. An empty one matches everything, none matches nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        value, values = labels.get(rule["key"]), rule.get("values", [])
        kept = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not kept[rule["operator"]]:
            return False
    return True


def budget(pod: dict[str, Any], budgets: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the PodDisruptionBudget of the pod that allows least, or None."""
    labels, namespace = pod["metadata"].get("labels", {}), pod["metadata"]["namespace"]
    near = [each for each in budgets if each["metadata"]["namespace"] == namespace]
    own = [each for each in near if selects(each["spec"].get("selector"), labels)]
    return min(own, key=lambda each: int(each.get("status", {}).get("disruptionsAllowed", 0)), default=None)


def evict(pod: dict[str, Any]) -> str | None:
    """Asks for the eviction of a pod. Returns why it is refused, "" where it is not; None where the pod is gone."""
    if "deletionTimestamp" in pod["metadata"]:
        return ""
    metadata = {key: pod["metadata"][key] for key in ("name", "namespace")}
    # The uid: a pod of a StatefulSet that came back under its name is another one.
    options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    try:
        kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(asked))
    except Refused as error:
        return None if "NotFound" in str(error) else str(error)
    return ""


def evict_all(pods: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Asks for the eviction of pods. Returns those that are still there, and what each waits for. Raises Refused."""
    answers = [(pod, answer) for pod in pods if (answer := evict(pod)) is not None]
    budgets = items("poddisruptionbudgets") if any("disruption budget" in answer for _, answer in answers) else []
    waiting = []
    for pod, answer in answers:
        reason, held = f"waits: {answer}" if answer else "is ending", ""
        if "disruption budget" in answer and (found := budget(pod, budgets)):
            allowed, held = found.get("status", {}).get("disruptionsAllowed", 0), name(found)
            reason = f"waits: PodDisruptionBudget {held} allows {allowed} disruptions"
        waiting.append({"pod": name(pod), "reason": reason, "budget": held})
    return waiting


def sentence(node: str, waiting: list[dict[str, str]]) -> str:
    """Returns one line: the pods of the node that wait. Those that a budget holds come first."""
    first = sorted(waiting, key=lambda each: each["reason"] == "is ending")
    more = f" and {len(waiting) - NAMED} more pods" if len(waiting) > NAMED else ""
    return f"{node}: " + ", ".join(f"{each['pod']} {each['reason']}" for each in first[:NAMED]) + more


def main() -> None:
    """Answers `done`, `waiting` (entries of `pod`, `reason`, `budget`), `progress` (one line) and `now`, the clock."""
    arguments = {"node": {"type": "str", "required": True}, "deadline": {"type": "float"}}
    module = AnsibleModule(arguments, supports_check_mode=True)
    node, deadline, now = module.params["node"], module.params["deadline"], time.time()
    try:
        pods = [pod for pod in items("pods", "--field-selector", f"spec.nodeName={node}") if leaves(pod)]
        if alone := [name(pod) for pod in pods if not controller(pod) and "deletionTimestamp" not in pod["metadata"]]:
            many = len(alone) > 1
            named = ", ".join(alone[:NAMED]) + (f" and {len(alone) - NAMED} more" if len(alone) > NAMED else "")
            advice = f"nothing would start {'them' if many else 'it'} again; delete {'them' if many else 'it'} first"
            module.fail_json(msg=f"{node}: {named} {'have' if many else 'has'} no controller: {advice}", alone=alone)
        if module.check_mode:
            waiting = [{"pod": name(pod), "reason": "would be evicted", "budget": ""} for pod in pods]
            module.exit_json(changed=bool(pods), done=True, waiting=waiting, now=now)
        waiting = evict_all(pods)
    except Refused as error:
        if deadline is None or module.check_mode:
            module.fail_json(msg=f"{node}: {error}")
        waiting, line = [], f"{node}: the API refuses: {error}"
    else:
        if not waiting:
            module.exit_json(changed=bool(pods), done=True, waiting=[], now=now)
        line = sentence(node, waiting)
    if deadline is not None and now >= deadline:
        module.fail_json(msg=f"{line}; no time is left", waiting=waiting)
    left = f"; {deadline - now:.0f} s left" if deadline is not None else ""
    module.exit_json(changed=True, done=False, waiting=waiting, progress=line + left, now=now)


if __name__ == "__main__":
    main()
