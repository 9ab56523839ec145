"""Certificates that the kubelets serve with: approved for a node's own names and addresses, and nothing else."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: serving_certificates
short_description: Kubelets serve with certificates of the cluster's authority
description:
  - Approves pending requests of signer kubernetes.io/kubelet-serving, each after a look at who asks and for what.
  - Done when every node's port 10250 answers with a certificate of the authority for the node's first address.
options:
  nodes: {description: Name of each node and its addresses; the cluster's first., required: true, type: dict}
  timeout: {description: Seconds until all must serve., required: true, type: int}
"""
SIGNER = "kubernetes.io/kubelet-serving"
AUTHORITY = "/etc/kubernetes/pki/ca.crt"
PORT = 10250


def run(*argv: str, stdin: str | None = None) -> str:
    """-> standard output. Raises CalledProcessError."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, input=stdin).stdout


def pending() -> list[dict[str, Any]]:
    """-> the requests that nobody has approved or denied yet."""
    found = json.loads(run("kubectl", "get", "csr", f"--field-selector=spec.signerName={SIGNER}", "-o", "json"))
    return [each for each in found["items"] if not each.get("status", {}).get("conditions")]


def asked(request: str) -> tuple[str, set[str], set[str]]:
    """-> subject, DNS names and addresses of a request in PEM. Raises ValueError for any other kind of name."""
    text = run("openssl", "req", "-noout", "-verify", "-subject", "-nameopt", "RFC2253", "-text", stdin=request)
    subject = next(line for line in text.splitlines() if line.startswith("subject=")).removeprefix("subject=").strip()
    listed = re.search(r"Subject Alternative Name:.*\n\s*(.+)", text)
    names: dict[str, set[str]] = {"DNS": set(), "IP Address": set()}
    for name in listed[1].split(", ") if listed else []:
        kind, _, value = name.strip().partition(":")
        if kind not in names:
            raise ValueError(f"it asks for {name}")
        names[kind].add(value)
    return subject, names["DNS"], names["IP Address"]


def refusal(csr: dict[str, Any], nodes: dict[str, list[str]]) -> str:
    """-> why the request is not approved; nothing if it may be."""
    spec = csr["spec"]
    node = spec["username"].removeprefix("system:node:")
    if spec["username"] != f"system:node:{node}" or node not in nodes or "system:nodes" not in spec.get("groups", []):
        return f"{spec['username']} is no node of this cluster"
    if not {"server auth"} <= set(spec["usages"]) <= {"server auth", "digital signature", "key encipherment"}:
        return f"it is for {', '.join(spec['usages'])}"
    try:
        subject, names, addresses = asked(base64.b64decode(spec["request"]).decode())
    except (ValueError, subprocess.CalledProcessError) as error:
        return f"unreadable: {error}"
    if sorted(subject.split(",")) != sorted([f"CN=system:node:{node}", "O=system:nodes"]):
        return f"it names {subject}"
    # The cloud provider adds the names that AWS' DNS has for the addresses.
    dashed = "|".join(address.replace(".", "-") for address in nodes[node])
    given = re.compile(rf"(ip|ec2)-({dashed})(\.[a-z0-9-]+)+\.(internal|amazonaws\.com)")
    foreign = {name for name in names if name != node and not given.fullmatch(name)} | (addresses - set(nodes[node]))
    if foreign or not addresses:
        return f"it asks for {', '.join(sorted(foreign)) or 'no address'}"
    return ""


def serves(address: str) -> bool:
    """-> whether a kubelet answers there with a certificate of the authority for that address."""
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
    """Answers `approved` (names of nodes) and `refused` (request -> reason)."""
    options = {"nodes": {"type": "dict", "required": True}, "timeout": {"type": "int", "required": True}}
    module = AnsibleModule(options, supports_check_mode=True)
    nodes: dict[str, list[str]] = module.params["nodes"]
    end = time.monotonic() + module.params["timeout"]
    approved: set[str] = set()
    try:
        while True:
            reasons = {csr["metadata"]["name"]: (csr, refusal(csr, nodes)) for csr in pending()}
            fit = {name: csr for name, (csr, reason) in reasons.items() if not reason}
            refused = {name: reason for name, (_, reason) in reasons.items() if reason}
            approved |= {csr["spec"]["username"].removeprefix("system:node:") for csr in fit.values()}
            if fit and not module.check_mode:
                run("kubectl", "certificate", "approve", *fit)
            silent = [node for node, addresses in nodes.items() if not serves(addresses[0])]
            if not silent or module.check_mode:
                break
            if time.monotonic() > end:
                why = "".join(f"; {name}: {reason}" for name, reason in refused.items())
                module.fail_json(msg=f"no certificate of the cluster yet on {', '.join(silent)}{why}")
            time.sleep(0.5)
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"{' '.join(error.cmd[:3])}: {error.stderr.strip()}")
    module.exit_json(changed=bool(approved), approved=sorted(approved), refused=refused)


if __name__ == "__main__":
    main()
