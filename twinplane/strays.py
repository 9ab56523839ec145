"""What an update that was killed has left in AWS: with the tags of the stack, and unknown to its state.

Such things take minutes to come, under names that AWS or Pulumi chooses. The next update makes another one, or is
refused: a NAT gateway holds its address, an endpoint the name of its service, and a VPC has one endpoint for SSH.

`python -m twinplane.strays JSON` ends them. The JSON: `region`, `strays`, where they are (`vpcs`, and `cluster` of node
groups), and `keep`, which are none after all. Exit code 1 with AWS's words where one cannot be ended.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jmespath
from botocore import xform_name

from twinplane.console import Tell
from twinplane.errors import Failed
from twinplane.live import aws_call
from twinplane.live.unanswered import Unanswered

#: A call of AWS: service, operation, parameters. Raises Unanswered.
Ask = Callable[..., dict[str, Any]]

#: Seconds that a thing may take to end, at most: EKS drains the nodes of a group. Between two looks.
WAIT, PAUSE = 1800.0, 5.0
#: States of what has ended, and of what is about to.
ENDED = ("deleted", "failed", "delete-complete", "terminated")
ENDING = ("deleting", "delete-in-progress", "shutting-down")
#: AWS's codes for what does not end yet: it is only coming, or in use.
BUSY = ("IncorrectState", "IncorrectInstanceState", "ResourceInUse", "ResourceInUseException")


@dataclass(frozen=True)
class Place:
    """Where a stack's own things are. No VPC: in any."""

    vpcs: tuple[str, ...] = ()
    cluster: str = ""


@dataclass(frozen=True)
class Thing:
    """One, in AWS's word for its state, in lower case."""

    state: str
    tags: dict[str, str]


class Kind(Protocol):
    """One kind of such things."""

    @property
    def resource(self) -> str:
        """Pulumi's type of it."""

    @property
    def form(self) -> str:
        """The form of its ids, as a regular expression."""

    def look(self, ask: Ask, place: Place) -> dict[str, Thing]:
        """Returns those that are there, by id, ended ones among them. Raises Unanswered."""

    def end(self, ask: Ask, place: Place, name: str) -> None:
        """Begins to end one. Raises Unanswered."""


@dataclass(frozen=True)
class _Ec2:
    resource: str
    form: str
    #: Of several, in EC2's API: "NatGateways".
    name: str
    #: The operation that ends one.
    ending: str
    #: Where the answer has them.
    found: str = ""

    def look(self, ask: Ask, place: Place) -> dict[str, Thing]:
        only = [{"Name": "vpc-id", "Values": list(place.vpcs)}] if place.vpcs else []
        answer = ask("ec2", f"describe_{xform_name(self.name)}", **{self._filters: only})
        found = jmespath.search(self.found or f"{self.name}[]", answer)
        return {str(each[self._id]): Thing(_state(each), _tags(each)) for each in found}

    def end(self, ask: Ask, place: Place, name: str) -> None:  # noqa: ARG002
        one = {f"{self._id}s": [name]} if self.ending.endswith("s") else {self._id: name}
        for each in ask("ec2", self.ending, **one).get("Unsuccessful") or ():  # of endpoints, in place of an error
            error = each["Error"]
            raise Unanswered(f"{error['Code']}: {error.get('Message', 'no words')}", error["Code"])

    @property
    def _id(self) -> str:
        return f"{self.name.removesuffix('s')}Id"

    @property
    def _filters(self) -> str:
        return "Filter" if self.name == "NatGateways" else "Filters"


class _Balancers:
    resource, form = "aws:lb/loadBalancer:LoadBalancer", r"arn:.*:loadbalancer/.*"

    def look(self, ask: Ask, place: Place) -> dict[str, Thing]:
        listed = ask("elbv2", "describe_load_balancers")["LoadBalancers"]
        near = [each for each in listed if not place.vpcs or each.get("VpcId") in place.vpcs]
        found = {each["LoadBalancerArn"]: _state(each) for each in near}
        tags: dict[str, dict[str, str]] = {}
        for first in range(0, len(found), 20):  # as many as the call takes
            told = ask("elbv2", "describe_tags", ResourceArns=[*found][first : first + 20])["TagDescriptions"]
            tags |= {each["ResourceArn"]: _tags(each) for each in told}
        # Those that controllers make of Services and Ingresses have the stack's tags, too, and the controllers' own.
        return {
            arn: Thing(state, tags[arn])
            for arn, state in found.items()
            if arn in tags and not any("kubernetes.io/" in key or ".k8s.aws/" in key for key in tags[arn])
        }

    def end(self, ask: Ask, place: Place, name: str) -> None:  # noqa: ARG002
        ask("elbv2", "delete_load_balancer", LoadBalancerArn=name)


class _NodeGroups:
    resource, form = "aws:eks/nodeGroup:NodeGroup", ".+"

    def look(self, ask: Ask, place: Place) -> dict[str, Thing]:
        try:
            names = ask("eks", "list_nodegroups", clusterName=place.cluster)["nodegroups"] if place.cluster else []
        except Unanswered as error:
            if error.code == "ResourceNotFoundException":
                return {}
            raise
        found = {}
        for each in names:
            told = ask("eks", "describe_nodegroup", clusterName=place.cluster, nodegroupName=each)["nodegroup"]
            found[each] = Thing(str(told.get("status", "")).lower(), dict(told.get("tags") or {}))
        return found

    def end(self, ask: Ask, place: Place, name: str) -> None:
        ask("eks", "delete_nodegroup", clusterName=place.cluster, nodegroupName=name)


NAT_GATEWAYS = _Ec2("aws:ec2/natGateway:NatGateway", "nat-[0-9a-f]+", "NatGateways", "delete_nat_gateway")
ENDPOINTS = _Ec2("aws:ec2/vpcEndpoint:VpcEndpoint", "vpce-[0-9a-f]+", "VpcEndpoints", "delete_vpc_endpoints")
SSH_ENDPOINTS = _Ec2(
    "aws:ec2transitgateway/instanceConnectEndpoint:InstanceConnectEndpoint",
    "eice-[0-9a-f]+",
    "InstanceConnectEndpoints",
    "delete_instance_connect_endpoint",
)
MACHINES = _Ec2(
    "aws:ec2/instance:Instance", "i-[0-9a-f]+", "Instances", "terminate_instances", "Reservations[].Instances[]"
)
BALANCERS, NODE_GROUPS = _Balancers(), _NodeGroups()
#: What is in the way of what the next update makes, and what carries the workload until the next one is there. Node
#: groups come last: their names have any form. Their machines have the stack's tags, and are EKS's own.
FIRST: dict[str, tuple[Kind, ...]] = {
    "managed": (NAT_GATEWAYS, ENDPOINTS),
    "self-managed": (NAT_GATEWAYS, ENDPOINTS, SSH_ENDPOINTS, BALANCERS),
}
THEN: dict[str, tuple[Kind, ...]] = {"managed": (NODE_GROUPS,), "self-managed": (MACHINES,)}
KINDS: tuple[Kind, ...] = (NAT_GATEWAYS, ENDPOINTS, SSH_ENDPOINTS, BALANCERS, MACHINES, NODE_GROUPS)


def alive(things: dict[str, Thing]) -> set[str]:
    """Returns the ids of those that neither have ended nor are about to."""
    return {name for name, thing in things.items() if thing.state not in (*ENDED, *ENDING)}


def own(things: dict[str, Thing], project: str, stack: str) -> set[str]:
    """Returns, of these, the ids of those that carry the tags of the stack."""
    tags = {"Project": project, "Stack": stack}
    return {name for name in alive(things) if tags.items() <= things[name].tags.items()}


def end(ask: Ask, place: Place, strays: Iterable[str], tell: Tell) -> None:
    """Ends them, side by side, and waits until they are gone. Raises Unanswered with AWS's words, and Failed where one
    is still there after WAIT."""
    left, asked, words = set(strays), set[str](), "it is still there"
    deadline = time.monotonic() + WAIT
    while left:
        kinds = {name: next(kind for kind in KINDS if re.fullmatch(kind.form, name)) for name in left}
        things = {name: thing for kind in {*kinds.values()} for name, thing in kind.look(ask, place).items()}
        left = {name for name in left if name in things and things[name].state not in ENDED}
        for name in sorted(left - asked):
            try:
                if things[name].state not in ENDING:
                    tell(f"  deleting {name}, which the stack's state does not know")
                    kinds[name].end(ask, place, name)
                asked.add(name)
            except Unanswered as error:
                words = str(error)
                if error.code not in BUSY and "NotFound" not in error.code:  # it went by itself
                    raise
        if left and time.monotonic() > deadline:
            raise Failed(f"{', '.join(sorted(left))}: not gone after {WAIT:.0f} s: {words}")
        if left:
            time.sleep(PAUSE)


def _state(thing: dict[str, Any]) -> str:
    state = thing.get("State") or ""
    return str(state.get("Name") or state.get("Code") if isinstance(state, dict) else state).lower()


def _tags(thing: dict[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in thing.get("Tags") or ()}


def main() -> int:
    """The command. Returns its exit code."""
    if len(sys.argv) != 2:
        print("usage: python -m twinplane.strays JSON", file=sys.stderr)
        return 2
    wanted = json.loads(sys.argv[1])
    keep: Collection[str] = wanted.get("keep") or ()
    place = Place(tuple(wanted.get("vpcs") or ()), wanted.get("cluster") or "")
    ask = partial(aws_call.call, os.environ, wanted["region"])
    try:
        end(ask, place, (each for each in wanted["strays"] if each not in keep), partial(print, file=sys.stderr))
    except (Unanswered, Failed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
