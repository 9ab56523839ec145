"""What an update that was killed has left in AWS (twinplane/strays.py says what that is), named and removed."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_command as command

from components.interpreter import interpreter
from stacks.outputs import Kind
from twinplane import aws_call, strays
from twinplane.aws_call import Unanswered
from twinplane.strays import Place

#: What the user is told of each.
KILLED = "an update that was killed has left it, and `pulumi up` removes it"


class Strays:
    """Those of one stack. It warns of each. Where AWS does not answer, or the state is behind, there are none."""

    def __init__(self, name: str, kind: Kind, resources: Iterable[Mapping[str, Any]]) -> None:
        """`resources` are those of the stack's state, each its type and outputs."""
        state = list(resources)
        self._name, self._region = name, aws.config.region or os.environ.get("AWS_REGION")
        vpcs = [_id(each) for each in state if each["type"] == "aws:ec2/vpc:Vpc"]
        clusters = [each["outputs"]["name"] for each in state if each["type"] == "aws:eks/cluster:Cluster"]
        self._place = Place(tuple(vpcs), next(iter(clusters), ""))
        self._first, self._then = (
            [each for one in kinds[kind] for each in self._of(one, state)] if vpcs else []
            for kinds in (strays.FIRST, strays.THEN)
        )
        for each in (*self._first, *self._then):
            pulumi.log.warn(f"{each} is tagged as this stack's, whose state does not know it: {KILLED}")
        made = (each["outputs"] for each in state if each["type"] == "command:local:Command")
        self._made = [each["create"] for each in made if each.get("interpreter") == interpreter("strays")]

    def first(self) -> list[pulumi.Resource]:
        """Makes the command that removes what would be in the way of the network and of what stands in it. Returns it
        alone, to be depended on, or nothing."""
        return self._command(f"{self._name}-strays-first", self._first, None)

    def then(self, keep: Collection[pulumi.Input[str | None]]) -> None:
        """Makes the command that removes the others, node groups and machines, once `keep` is there: those that this
        update makes, by name or id."""
        self._command(f"{self._name}-strays", self._then, keep)

    def _command(
        self, name: str, found: list[str], keep: Collection[pulumi.Input[str | None]] | None
    ) -> list[pulumi.Resource]:
        """Where there are none any more, it stays as it was, and runs no more."""
        same = (each for each in self._made if ("keep" in json.loads(each)) == (keep is not None))
        create: pulumi.Input[str] | None = next(same, None)
        if found:
            wanted: dict[str, Any] = {
                "region": self._region or aws.get_region_output().region,
                "vpcs": self._place.vpcs,
                "cluster": self._place.cluster,
                "strays": found,
            }
            create = pulumi.Output.json_dumps(
                wanted | ({"keep": list(keep)} if keep is not None else {}), sort_keys=True
            )
        if create is None:
            return []
        return [
            command.local.Command(
                name, interpreter=interpreter("strays"), create=create, logging=command.local.Logging.STDERR
            )
        ]

    def _of(self, kind: strays.Kind, state: list[Mapping[str, Any]]) -> list[str]:
        try:
            things = kind.look(partial(aws_call.call, os.environ, self._region), self._place)
        except Unanswered as error:
            pulumi.log.debug(f"strays: {error}")  # what does not answer here answers the resources neither
            return []
        known = {_id(each) for each in state if each["type"] == kind.resource}
        if not known <= strays.alive(things):
            return []  # the state is behind: what it does not know may be all that there is
        return sorted(strays.own(things, pulumi.get_project(), pulumi.get_stack()) - known)


def _id(resource: Mapping[str, Any]) -> str:
    """Returns what AWS knows it by; the engine tells outputs alone."""
    outputs, arn = resource["outputs"], str(resource["outputs"].get("arn", ""))
    if resource["type"] == strays.BALANCERS.resource:
        return arn
    return str(outputs.get("nodeGroupName") or outputs.get("id") or arn.rpartition("/")[2])
