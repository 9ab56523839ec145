"""One round of waiting for a node that was restarted: is it back, and what does it still wait for?"""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubectl import Refused, controller, items, kubectl, name

DOCUMENTATION = """
module: returned_node
short_description: Whether a node is back after a restart
description:
  - It is back when it is Ready in its new boot and its kube-proxy runs. Call it again until it answers C(done).
  - Deletes the pods of DaemonSets that the restart ended as Failed. The DaemonSet would replace them too, but later
    at each restart, by up to 15 minutes.
options:
  node: {type: str, required: true, description: The node's name.}
  boot: {type: str, required: true, description: The id of the new boot, of /proc/sys/kernel/random/boot_id.}
"""
KUBE_PROXY = "k8s-app=kube-proxy"


def ready(thing: dict[str, Any]) -> dict[str, Any]:
    """Returns the Ready condition of a node or a pod."""
    found = (each for each in thing["status"].get("conditions", []) if each["type"] == "Ready")
    return next(found, {"status": "Unknown", "message": "it says nothing of itself yet"})


def waits(node: str, boot: str) -> str:
    """Returns what the node waits for, "" when it is back. Raises Refused."""
    seen = json.loads(kubectl("get", "node", node, "-o", "json"))
    if seen["status"]["nodeInfo"]["bootID"] != boot:
        return "the kubelet has not reported since the restart"
    if (state := ready(seen))["status"] != "True":
        return f"not Ready: {state.get('message', '')}"
    here = ("--field-selector", f"spec.nodeName={node}")
    for pod in items("pods", *here):
        if pod["status"].get("phase") == "Failed" and controller(pod) == "DaemonSet":
            namespace, _, own = name(pod).partition("/")
            kubectl("delete", "pod", own, "-n", namespace, "--wait=false", "--ignore-not-found")
    proxies = [pod for pod in items("pods", *here, "-l", KUBE_PROXY) if "deletionTimestamp" not in pod["metadata"]]
    if not proxies:
        return "it has no kube-proxy yet"
    if any(ready(pod)["status"] != "True" for pod in proxies):
        return f"{name(proxies[0])} is {proxies[0]['status'].get('phase', 'not there')}, not ready"
    return ""


def main() -> None:
    """Answers `done` and `progress`, one line."""
    arguments = {"node": {"type": "str", "required": True}, "boot": {"type": "str", "required": True}}
    module = AnsibleModule(arguments, supports_check_mode=True)
    node = module.params["node"]
    if module.check_mode:
        module.exit_json(changed=False, done=True)
    try:
        reason = waits(node, module.params["boot"])
    except Refused as error:
        reason = f"the API refuses: {error}"
    module.exit_json(changed=False, done=not reason, progress=f"{node}: {reason or 'it is back'}")


if __name__ == "__main__":
    main()
