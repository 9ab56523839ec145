"""Certificates that the kubelets serve with: waits until all have one."""

from __future__ import annotations

import socket
import ssl
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: serving_certificates
short_description: Waits until kubelets serve with certificates of the cluster's authority
description:
  - Done when every node's port 10250 answers with a certificate of the authority for the node's address.
options:
  nodes: {description: Name of each node and its address., required: true, type: dict}
  timeout: {description: Seconds until all must serve., required: true, type: int}
"""
AUTHORITY = "/etc/kubernetes/pki/ca.crt"
PORT = 10250


def serves(address: str) -> bool:
    """Returns whether a kubelet answers there with a certificate of the authority for that address."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    try:
        with (
            socket.create_connection((address, PORT), timeout=5) as connection,
            context.wrap_socket(connection, server_hostname=address),
        ):
            return True
    except OSError:
        return False


def main() -> None:
    """Changes nothing. Fails with the names of the nodes that do not serve in time."""
    options = {"nodes": {"type": "dict", "required": True}, "timeout": {"type": "int", "required": True}}
    module = AnsibleModule(options, supports_check_mode=True)
    end = time.monotonic() + module.params["timeout"]
    while silent := [node for node, address in module.params["nodes"].items() if not serves(address)]:
        if time.monotonic() > end:
            why = "`journalctl -u approve-serving-certificates` on the control planes says what was refused"
            module.fail_json(msg=f"no certificate of the cluster yet on {', '.join(silent)}: {why}")
        time.sleep(0.5)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
