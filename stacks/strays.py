"""What an update that was killed has left in AWS: tagged as the stack's own, and unknown to its state.

A node group or a machine takes minutes, and has a name that Pulumi or EC2 chose: the next update makes another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_command as command

from components.base import tags
from components.base.interpreter import interpreter
from stacks.gone import ALIVE

#: What the user is told of each.
KILLED = "an update that was killed has left it, and `pulumi up` removes it"
GROUP, MACHINE = "aws:eks/nodeGroup:NodeGroup", "aws:ec2/instance:Instance"


def build(name: str, resources: Iterable[Mapping[str, Any]], keep: Collection[pulumi.Input[str | None]]) -> None:
    """Makes, where there are strays, the command that removes them once `keep` is there: node groups by name and
    machines by id that this update makes. `resources` are those of the stack's state, each its type and outputs.

    It warns of each. Where there are none any more, the command stays as it was, and runs no more.
    """
    state = list(resources)
    cluster = next((each["outputs"]["name"] for each in state if each["type"] == "aws:eks/cluster:Cluster"), "")
    try:
        found = _groups(cluster, state) if cluster else _machines(state)
    except Exception as error:
        pulumi.log.debug(f"strays: {error}")  # what does not answer here answers the resources neither
        found = []
    for each in found:
        pulumi.log.warn(f"{each} is tagged as this stack's, whose state does not know it: {KILLED}")
    commands = (each["outputs"] for each in state if each["type"] == "command:local:Command")
    last = next((each["create"] for each in commands if each.get("interpreter") == interpreter("strays")), None)
    if found:
        wanted = {
            "region": aws.get_region_output().region,
            "cluster": cluster,
            "strays": found,
            "keep": list(keep),
        }
        last = pulumi.Output.json_dumps(wanted, sort_keys=True)
    if last is not None:
        command.local.Command(
            f"{name}-strays",
            interpreter=interpreter("strays"),
            create=last,
            logging=command.local.Logging.STDERR,
        )


def _groups(cluster: str, state: list[Mapping[str, Any]]) -> list[str]:
    known = {each["outputs"].get("nodeGroupName") for each in state if each["type"] == GROUP}
    there = set(aws.eks.get_node_groups(cluster_name=cluster).names)
    if not known <= there:
        return []  # the state is behind: what it does not know may be all that there is
    own = tags.common()

    def ours(group: str) -> bool:
        found = aws.eks.get_node_group(cluster_name=cluster, node_group_name=group).tags
        return own.items() <= found.items()

    return sorted(group for group in there - known if ours(group))


def _machines(state: list[Mapping[str, Any]]) -> list[str]:
    known = {each["outputs"]["arn"].rpartition("/")[2] for each in state if each["type"] == MACHINE}
    if not known:
        return []
    found = set(aws.ec2.get_instances(instance_tags=tags.common(), instance_state_names=list(ALIVE)).ids)
    return sorted(found - known) if known <= found else []
