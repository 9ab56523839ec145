"""The cluster's nodes as its API shows them, and what is not yet well with those that should be there."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubectl import Refused, kubectl

DOCUMENTATION = """
module: nodes
short_description: The cluster's nodes, and what they wait for
description:
  - Reads by kubectl and changes nothing. An API that does not answer is an answer, too, so that a task can wait for it.
  - V(progress) says in one line what is not well, for who waits.
options:
  machines:
    description: Name of each node that should be there and Ready, and its machine as AWS knows it, aws:///ZONE/INSTANCE.
    required: true
    type: dict
"""


def node(item: dict[str, Any]) -> dict[str, Any]:
    """Returns what the playbooks need of a Node object. `why` says why it is not Ready, in Kubernetes' own words."""
    spec = item.get("spec", {})
    conditions = {each["type"]: each for each in item.get("status", {}).get("conditions", [])}
    ready = conditions.get("Ready", {})
    return {
        "ready": ready.get("status") == "True",
        "why": ready.get("message", "its kubelet has not reported yet"),
        "pod_cidr": spec.get("podCIDR", ""),
        "provider_id": spec.get("providerID", ""),
        "taints": [each["key"] for each in spec.get("taints", [])],
        "control_plane": "node-role.kubernetes.io/control-plane" in item["metadata"].get("labels", {}),
    }


def troubles(nodes: dict[str, dict[str, Any]], machines: dict[str, str]) -> list[str]:
    """Returns a clause for each machine that has no Node, or one that is not Ready."""
    found = [f"{name} has no Node: its kubelet is not registered" for name in machines if name not in nodes]
    return found + [
        f"{name} is not Ready: {nodes[name]['why']}" for name in machines if name in nodes and not nodes[name]["ready"]
    ]


def leaving(nodes: dict[str, dict[str, Any]], machines: dict[str, str]) -> list[str]:
    """Returns the nodes that no machine is behind: their machine leaves, or another one has taken its name."""
    return [name for name, found in nodes.items() if (found["provider_id"] or machines.get(name)) != machines.get(name)]


def main() -> None:
    """Answers `reached`, `nodes` and `ranges` by name, the names `missing` and `leaving`, `ready` and `progress`."""
    module = AnsibleModule({"machines": {"type": "dict", "required": True}}, supports_check_mode=True)
    machines = module.params["machines"]
    try:
        shown = kubectl("get", "nodes", "--output=json", "--request-timeout=10s")
    except OSError as error:
        module.fail_json(msg=f"kubectl: {error.strerror}")
    except Refused as error:
        nothing = {"nodes": {}, "missing": [], "leaving": [], "ranges": {}, "ready": False}
        module.exit_json(changed=False, reached=False, progress=f"the API does not answer: {error}", **nothing)
    nodes = {item["metadata"]["name"]: node(item) for item in json.loads(shown)["items"]}
    ill = troubles(nodes, machines)
    module.exit_json(
        changed=False,
        reached=True,
        nodes=nodes,
        missing=[name for name in machines if name not in nodes],
        leaving=leaving(nodes, machines),
        ranges={name: found["pod_cidr"] for name, found in nodes.items() if found["pod_cidr"]},
        ready=not ill,
        progress="; ".join(ill),
    )


if __name__ == "__main__":
    main()
