"""A living stack whose cluster is gone from AWS: said at once, not after minutes at an API that nobody serves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from twinplane.operate.destroy import FORGET

ALIVE = ("pending", "running", "stopping", "stopped")


def check(resources: Iterable[Mapping[str, Any]]) -> None:
    """Raises pulumi.RunError where AWS says that the cluster of the stack's state is gone, with what to do. A warning,
    where PULUMI_K8S_DELETE_UNREACHABLE says that the user knows.

    `resources` are those of the stack's state, each its type and outputs.
    """
    state = list(resources)
    missing = _cluster(state) or _control_planes(state)
    if not missing:
        return
    if os.environ.get(FORGET) == "true":
        pulumi.log.warn(f"{missing}; with --refresh it is built anew")
        return
    raise pulumi.RunError(
        f"{missing}: `{FORGET}=true pulumi up --refresh` builds the cluster anew, without what was in it; "
        f"`twinplane destroy {pulumi.get_stack()}` removes what is left of the stack"
    )


def _cluster(state: Iterable[Mapping[str, Any]]) -> str:
    names = {each["outputs"]["name"] for each in state if each["type"] == "aws:eks/cluster:Cluster"}
    if not names:
        return ""
    try:
        missing = names - set(aws.eks.get_clusters().names)
    except Exception:  # whoever may not list them meets the same cause later, with a resource beside it
        return ""
    return f"EKS has no cluster {', '.join(sorted(missing))} any more" if missing else ""


def _control_planes(state: Iterable[Mapping[str, Any]]) -> str:
    outputs: Mapping[str, Any] = next((each["outputs"] for each in state if each["type"] == "pulumi:pulumi:Stack"), {})
    ids = [each["instanceId"] for each in outputs.get("machines") or () if each["role"] == "control-plane"]
    if not ids:
        return ""
    try:
        found = aws.ec2.get_instances(
            filters=[{"name": "instance-id", "values": ids}], instance_state_names=list(ALIVE)
        )
    except Exception:
        return ""
    return "" if found.ids else f"EC2 has none of the control planes any more ({', '.join(ids)})"
