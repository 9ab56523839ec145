"""The cluster, asked by kubectl on a control plane. KUBECONFIG is in the task's environment."""

from __future__ import annotations

import json
import subprocess
from typing import Any


class Refused(Exception):
    """One line: what the API answered in place of what it was asked for."""


def kubectl(*argv: str, stdin: str = "") -> str:
    """Returns what kubectl printed. Raises Refused."""
    done = subprocess.run(["kubectl", *argv], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused((done.stderr.strip().splitlines() or ["kubectl failed without a word"])[-1])
    return done.stdout


def items(kind: str, *argv: str) -> list[dict[str, Any]]:
    """Returns the objects of a kind in all namespaces. Raises Refused."""
    found: list[dict[str, Any]] = json.loads(kubectl("get", kind, "-A", "-o", "json", *argv))["items"]
    return found


def name(thing: dict[str, Any]) -> str:
    """Returns NAMESPACE/NAME."""
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def controller(pod: dict[str, Any]) -> str:
    """Returns the kind of the pod's controller, empty where it has none."""
    owners = pod["metadata"].get("ownerReferences", [])
    return next((owner["kind"] for owner in owners if owner.get("controller")), "")
