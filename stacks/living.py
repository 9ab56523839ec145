"""What the living cluster of the running stack was made with, as the stack's own state tells it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pulumi

from components.base import record

ATTEMPTS = 6
REFERENCES = "PULUMI_DISABLE_RESOURCE_REFERENCES"
#: A cluster lives as soon as one of these exists: machines may be a cluster before the first update has ended.
CARRIERS = ("aws:ec2/instance:Instance", "aws:eks/cluster:Cluster")


def living() -> dict[str, str] | None:
    """Returns the entries of the last run's record, as changes.entries makes them; None where no cluster lives.

    Raises pulumi.RunError where the state cannot be read.
    """
    return of_state(resources())


def resources() -> list[Mapping[str, Any]]:
    """Returns the resources of the stack's saved state, each its type and outputs, secrets in plain.

    The engine reads the state that it has saved, in a preview as in an update, so this works before the first resource
    is registered. Raises pulumi.RunError where it cannot.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _references_as_text():
                answer = pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": stack})
            return list(answer.value["outputs"].values())
        except Exception as error:
            if attempt == ATTEMPTS:
                raise pulumi.RunError(f"the state of stack {stack} cannot be read: {error}") from None
        # A backend of files writes the state in place, and just then, at the update's start: it may be found empty.
        time.sleep(0.2 * attempt)
    raise AssertionError


@contextmanager
def _references_as_text() -> Iterator[None]:
    """Outputs that refer to resources stay URNs: the SDK would ask the engine for each, before this run has made it.

    The variable is the SDK's own (pulumi/runtime/invoke.py).
    """
    before = os.environ.get(REFERENCES)
    os.environ[REFERENCES] = "true"
    try:
        yield
    finally:
        os.environ.pop(REFERENCES)
        os.environ.update({REFERENCES: before} if before is not None else {})


def of_state(resources: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """The same of the state's resources, each its type and outputs."""
    outputs: dict[str, Mapping[str, Any]] = {each["type"]: each["outputs"] for each in resources}
    if not any(carrier in outputs for carrier in CARRIERS):
        return None
    entries = outputs.get(record.TYPE, {}).get("entries") or _exported(outputs.get("pulumi:pulumi:Stack", {}))
    # EKS may refuse a version that the record has already, or raise it by itself.
    version = outputs.get("aws:eks/cluster:Cluster", {}).get("version")
    if not version:
        return dict(entries)
    asked = {"lastVersion": entries["kubernetesVersion"]} if "kubernetesVersion" in entries else {}
    return {**entries, **asked, "kubernetesVersion": str(version)}


def _exported(exports: Mapping[str, Any]) -> dict[str, str]:
    """What a stack of a program that kept no record tells by its exports."""
    entries = {
        name: str(exports[name]) for name in ("kind", "kubernetesVersion", "nodeMode", "region") if name in exports
    }
    if "clusterName" in exports:
        entries["name"] = str(exports["clusterName"])
    if "machines" in exports:
        entries["controlPlanes"] = str(sum(each["role"] == "control-plane" for each in exports["machines"]))
    return entries
