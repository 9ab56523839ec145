"""Node groups and machines that the stack's state does not know: what they stand in could not go before them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from twinplane.errors import Failed, UsageError
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import StackOutputs
from twinplane.questions import Access, Call
from twinplane.stack import Stack

#: Seconds that EKS drains and ends the nodes of a group, at most; between two looks.
WAIT, PAUSE = 1800.0, 5.0
ALIVE = ["pending", "running", "stopping", "stopped"]


def end(stack: Stack, outputs: StackOutputs, access: Access) -> None:
    """Ends those that carry the stack's tags, as an update that was killed leaves them. Raises UsageError, before
    anything ends, for node groups of others, and Failed."""
    known = stack.known()
    own = {"Project": stack.project, "Stack": stack.name}
    try:
        groups = set(_groups(outputs.cluster_name, access)) - known if outputs.kind == "managed" else set()
        others = sorted(
            group for group in groups if not own.items() <= _tags(outputs.cluster_name, group, access).items()
        )
        if others:
            raise UsageError(
                f"destroy: node group {', '.join(others)} of others is in cluster {outputs.cluster_name}, which EKS "
                "keeps for it: delete it first, aws eks delete-nodegroup"
            )
        for group in groups:
            access.tell(f"  deleting node group {group}, which the stack's state does not know")
            access.answer(Call("eks", "delete_nodegroup", _named(outputs.cluster_name, group)))
        # Of EKS, the node groups' own machines are in no state.
        machines = sorted(set(_machines(own, access)) - known) if outputs.kind == "self-managed" else []
        if machines:
            access.tell(f"  terminating {', '.join(machines)}, which the stack's state does not know")
            access.answer(Call("ec2", "terminate_instances", {"InstanceIds": machines}))
        _wait(groups, outputs.cluster_name, access)
    except Unanswered as error:
        raise Failed(f"destroy: what the state of {stack.name} does not know: {error}") from None


def _named(cluster: str, group: str) -> dict[str, str]:
    return {"clusterName": cluster, "nodegroupName": group}


def _groups(cluster: str, access: Access) -> list[str]:
    try:
        return list(access.answer(Call("eks", "list_nodegroups", {"clusterName": cluster}))["nodegroups"])
    except Unanswered as error:
        if str(error).startswith("ResourceNotFoundException:"):
            return []
        raise


def _tags(cluster: str, group: str, access: Access) -> dict[str, str]:
    found = access.answer(Call("eks", "describe_nodegroup", _named(cluster, group)))["nodegroup"]
    return dict(found.get("tags") or {})


def _machines(own: dict[str, str], access: Access) -> Iterator[str]:
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in own.items()]
    filters.append({"Name": "instance-state-name", "Values": ALIVE})
    for reservation in access.answer(Call("ec2", "describe_instances", {"Filters": filters}))["Reservations"]:
        yield from (each["InstanceId"] for each in reservation["Instances"])


def _wait(groups: set[str], cluster: str, access: Access) -> None:
    deadline = time.monotonic() + WAIT
    while left := groups & set(_groups(cluster, access) if groups else ()):
        if time.monotonic() > deadline:
            raise Failed(f"destroy: node group {', '.join(sorted(left))}: not gone after {WAIT:.0f} s")
        time.sleep(PAUSE)
