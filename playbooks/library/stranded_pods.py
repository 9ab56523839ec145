"""Pods that have an address outside the range of their node: packets to them go elsewhere."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubectl import Refused, items, kubectl, name

DOCUMENTATION = """
module: stranded_pods
short_description: Pods with an address outside the range of their node start again
description:
  - A Node that was deleted comes back with another range of pods, and its pods keep the addresses that they have.
    Each is deleted, so that its controller makes another one. One without a controller goes for good; nothing
    reaches it.
options:
  ranges: {type: dict, required: true, description: Name of each node and the range of its pods.}
"""


def stranded(pods: list[dict[str, Any]], ranges: dict[str, str]) -> list[dict[str, Any]]:
    """Returns those pods. One in its machine's own network has no address of a range."""
    found = []
    for pod in pods:
        address, node = pod.get("status", {}).get("podIP"), pod["spec"].get("nodeName")
        ends = "deletionTimestamp" in pod["metadata"] or pod["status"].get("phase") in {"Succeeded", "Failed"}
        if address and node in ranges and not ends and not pod["spec"].get("hostNetwork"):
            found += [pod] if ip_address(address) not in ip_network(ranges[node]) else []
    return found


def main() -> None:
    """Answers the names of the pods, as `pods`."""
    module = AnsibleModule({"ranges": {"type": "dict", "required": True}}, supports_check_mode=True)
    try:
        pods = stranded(items("pods"), module.params["ranges"])
        for pod in [] if module.check_mode else pods:
            namespace, _, own = name(pod).partition("/")
            kubectl("delete", "pod", own, "-n", namespace, "--wait=false", "--ignore-not-found")
    except Refused as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(pods), pods=[name(pod) for pod in pods])


if __name__ == "__main__":
    main()
