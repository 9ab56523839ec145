#!/usr/bin/python3
"""Approves certificates that kubelets ask to serve with: for a node's own names and addresses, and nothing else.

Runs on each control plane until it is ended. A kubelet asks when it starts, when the cloud provider gives its node
other names, and in the last third of the year that a certificate is valid for.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

SIGNER = "kubernetes.io/kubelet-serving"
#: Name of each node -> its addresses.
NODES = Path("/etc/kubernetes/serving-certificates/nodes.json")


def run(*argv: str, stdin: str | None = None) -> str:
    """Returns standard output. Raises CalledProcessError."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, input=stdin).stdout


def pending() -> list[dict[str, Any]]:
    """Returns the requests that nobody has approved or denied yet."""
    found = json.loads(run("kubectl", "get", "csr", f"--field-selector=spec.signerName={SIGNER}", "-o", "json"))
    return [each for each in found["items"] if not each.get("status", {}).get("conditions")]


def asked(request: str) -> tuple[str, set[str], set[str]]:
    """Returns subject, DNS names and addresses of a request in PEM. Raises ValueError for any other kind of name."""
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
    """Returns why the request is not approved; nothing if it may be."""
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


def review(nodes: dict[str, list[str]], told: set[str]) -> None:
    """Looks at all that is pending. `told` are the requests whose refusal was told; it is told once."""
    for csr in pending():
        name = csr["metadata"]["name"]
        reason = refusal(csr, nodes)
        if not reason:
            run("kubectl", "certificate", "approve", name)
            print(f"approved {name} of {csr['spec']['username']}", flush=True)
        elif name not in told:
            told.add(name)
            print(f"left {name} pending: {reason}", flush=True)


def main() -> None:
    """Watches the requests. Ends with the API server's end of the watch; systemd starts it again."""
    nodes, told = json.loads(NODES.read_text()), set[str]()
    watched = ["kubectl", "get", "csr", f"--field-selector=spec.signerName={SIGNER}", "--watch", "--output=name"]
    with subprocess.Popen(watched, stdout=subprocess.PIPE, text=True) as watch:
        for _ in watch.stdout or ():
            try:
                review(nodes, told)
            except subprocess.CalledProcessError as error:
                watch.terminate()
                sys.exit(f"{' '.join(error.cmd[:3])}: {error.stderr.strip()}")


if __name__ == "__main__":
    main()
