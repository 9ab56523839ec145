"""What the living cluster of the running stack was made with, as the stack's own state tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import pulumi
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto.resource_pb2 import ResourceInvokeRequest

from components import record

#: A cluster lives as soon as one of these exists: machines may be a cluster before the first update has ended.
CARRIERS = ("aws:ec2/instance:Instance", "aws:eks/cluster:Cluster")


def living() -> dict[str, str] | None:
    """Returns the entries of the last run's record, as changes.entries makes them; None where no cluster lives.

    The engine reads the state that it has saved, in a preview as in an update, so this works before the first resource
    is registered. Raises pulumi.RunError where it cannot.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    # Not pulumi.runtime.invoke: that looks up each resource that an output refers to, and none is registered yet.
    request = ResourceInvokeRequest(
        tok="pulumi:pulumi:readStackResourceOutputs",
        args=ParseDict({"stackName": stack}, Struct()),
        acceptResources=False,
    )
    monitor: Any = pulumi.runtime.settings.get_monitor()
    try:
        answer = monitor.Invoke(request)
    except Exception as error:
        reason = error.details() if isinstance(error, grpc.Call) else error
        raise pulumi.RunError(f"the state of stack {stack} cannot be read: {reason}") from None
    return of_state(MessageToDict(getattr(answer, "return"))["outputs"].values())


def of_state(resources: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """The same of the state's resources, each its type and outputs."""
    outputs: dict[str, Mapping[str, Any]] = {each["type"]: each["outputs"] for each in resources}
    if not any(carrier in outputs for carrier in CARRIERS):
        return None
    entries = outputs.get(record.TYPE, {}).get("entries") or _exported(outputs.get("pulumi:pulumi:Stack", {}))
    # EKS may refuse a version that the record has already.
    version = outputs.get("aws:eks/cluster:Cluster", {}).get("version")
    return {**entries, **({"kubernetesVersion": str(version)} if version else {})}


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
