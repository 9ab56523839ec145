"""What an update that was killed has left is found, named and removed; nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pytest

from stacks.strays import KILLED, Strays
from tests.support.pulumi_mocks import Graph, run
from twinplane import strays as command
from twinplane.errors import Failed
from twinplane.live import aws_call
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import Kind

OWN = {"Project": "twinplane", "Stack": "test", "ManagedBy": "pulumi"}
ARN = "arn:aws:ec2:us-east-1:1:"
BALANCER = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/api-"


def resource(kind: str, **outputs: Any) -> dict[str, Any]:
    return {"type": kind, "outputs": outputs}


VPC = resource("aws:ec2/vpc:Vpc", arn=f"{ARN}vpc/vpc-1")
CLUSTER = resource("aws:eks/cluster:Cluster", name="c")
GROUP = resource("aws:eks/nodeGroup:NodeGroup", nodeGroupName="c-nodes-1", id="c:c-nodes-1")
MACHINES = [resource("aws:ec2/instance:Instance", arn=f"{ARN}instance/{each}") for each in ("i-1", "i-2")]
#: Kind, id of one that the state knows, id of another one.
ALIKE: list[tuple[Kind, dict[str, Any], str, str]] = [
    ("managed", resource("aws:ec2/natGateway:NatGateway", id="nat-1"), "nat-1", "nat-2"),
    ("self-managed", resource("aws:ec2/vpcEndpoint:VpcEndpoint", arn=f"{ARN}vpc-endpoint/vpce-1"), "vpce-1", "vpce-2"),
    (
        "self-managed",
        resource("aws:ec2transitgateway/instanceConnectEndpoint:InstanceConnectEndpoint", id="eice-1"),
        "eice-1",
        "eice-2",
    ),
    (
        "self-managed",
        resource("aws:lb/loadBalancer:LoadBalancer", arn=f"{BALANCER}1/1"),
        f"{BALANCER}1/1",
        f"{BALANCER}2/2",
    ),
]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is warned of."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lines.append)
    return lines


class Aws:
    """What AWS has: things with their states and tags, by id, and what was asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.things: dict[str, tuple[str, Mapping[str, str]]] = {}
        self.done: list[str] = []
        #: Id -> codes that its end is refused with, one after the other.
        self.refusals: dict[str, list[str]] = {}
        self.silent = ""
        monkeypatch.setattr(
            aws_call, "call", lambda _environment, _region, *asked, **given: self.answer(*asked, **given)
        )
        monkeypatch.setattr(command.time, "sleep", lambda _: None)

    def add(self, *names: str, state: str = "available", tags: Mapping[str, str] | None = None) -> None:
        self.things |= dict.fromkeys(names, (state, OWN if tags is None else tags))

    def answer(self, service: str, operation: str, **given: Any) -> dict[str, Any]:
        if operation == self.silent:
            raise Unanswered("UnauthorizedOperation: no", "UnauthorizedOperation")
        if operation.startswith("describe_") and service == "ec2":
            (filters,) = given.values()
            assert filters in ([], [{"Name": "vpc-id", "Values": ["vpc-1"]}])
        listed = {
            "describe_nat_gateways": ("NatGateways", "nat-", "NatGatewayId"),
            "describe_vpc_endpoints": ("VpcEndpoints", "vpce-", "VpcEndpointId"),
            "describe_instance_connect_endpoints": ("InstanceConnectEndpoints", "eice-", "InstanceConnectEndpointId"),
        }
        if operation in listed:
            where, begins, key = listed[operation]
            return {where: self._listed(begins, key)}
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "describe_instances": lambda: {
                "Reservations": [
                    {"Instances": [{**each, "State": {"Name": each["State"]}}]}
                    for each in self._listed("i-", "InstanceId")
                ]
            },
            "describe_load_balancers": lambda: {
                "LoadBalancers": [
                    {**each, "State": {"Code": each["State"]}} for each in self._listed("arn:", "LoadBalancerArn")
                ]
            },
            "describe_tags": lambda: {
                "TagDescriptions": [{"ResourceArn": each, "Tags": self._tags(each)} for each in given["ResourceArns"]]
            },
            "list_nodegroups": lambda: {"nodegroups": [name for name in self.things if "nodes" in name]},
            "describe_nodegroup": lambda: {"nodegroup": self._group(given["nodegroupName"])},
        }
        if operation in answers:
            return answers[operation]()
        given.pop("clusterName", None)
        (name,) = given.values()
        return self._end(name if isinstance(name, str) else name[0], operation)

    def _group(self, name: str) -> dict[str, Any]:
        state, tags = self.things[name]
        return {"status": state.upper(), "tags": dict(tags)}

    def _end(self, name: str, operation: str) -> dict[str, Any]:
        if codes := self.refusals.get(name):
            code = codes.pop(0)
            if operation == "delete_vpc_endpoints":
                return {"Unsuccessful": [{"Error": {"Code": code, "Message": "no"}}]}
            raise Unanswered(f"{code}: no", code)
        self.done.append(f"{operation} {name}")
        self.things[name] = ("deleted", OWN)
        return {}

    def _listed(self, begins: str, key: str) -> list[dict[str, Any]]:
        return [
            {key: name, "State": state, "VpcId": "vpc-1", "Tags": self._tags(name)}
            for name, (state, _) in self.things.items()
            if name.startswith(begins)
        ]

    def _tags(self, name: str) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.things[name][1].items()]


def built(state: list[dict[str, Any]], *keep: str, kind: Kind = "managed") -> Graph:
    def program() -> None:
        left = Strays("c", kind, state)
        left.first()
        left.then(keep)

    return run(program)


def asked(graph: Graph, name: str = "c-strays") -> dict[str, Any]:
    made = graph.one("command:local:Command", name).inputs
    assert made["interpreter"] == ["sh", "twinplane/run", "strays"]
    return dict(json.loads(made["create"]))


def test_a_second_node_group_is_named_and_removed(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    aws = Aws(monkeypatch)
    aws.add("c-nodes-1", "c-nodes-2")
    aws.add("nodes-by-hand", tags={"Project": "twinplane"})
    aws.add("nodes-of-another", tags=OWN | {"Stack": "x"})
    graph = built([VPC, CLUSTER, GROUP], "c-nodes-1")
    assert asked(graph) == {
        "cluster": "c",
        "keep": ["c-nodes-1"],
        "region": "us-east-1",
        "strays": ["c-nodes-2"],
        "vpcs": ["vpc-1"],
    }
    assert "c-strays-first" not in graph
    assert said == [f"c-nodes-2 is tagged as this stack's, whose state does not know it: {KILLED}"]


def test_a_machine_that_the_state_does_not_know(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    aws = Aws(monkeypatch)
    aws.add("i-1", "i-2", state="running")
    assert built([VPC, *MACHINES], kind="self-managed").all("command:local:Command") == []
    aws.add("i-3", state="pending")
    aws.add("i-4", state="terminated")
    assert asked(built([VPC, *MACHINES], "i-1", "i-2", kind="self-managed"))["strays"] == ["i-3"]
    assert len(said) == 1
    assert built([VPC, CLUSTER, GROUP]).all("command:local:Command") == [], "machines of EKS are EKS's own"


@pytest.mark.parametrize("alike", ALIKE)
def test_what_would_be_in_the_way_is_removed_before_the_network(
    monkeypatch: pytest.MonkeyPatch, said: list[str], alike: tuple[Kind, dict[str, Any], str, str]
) -> None:
    kind, known, name, other = alike
    aws = Aws(monkeypatch)
    aws.add(name)
    assert built([VPC, known], kind=kind).all("command:local:Command") == []
    aws.add(other, state="pending")
    graph = built([VPC, known], kind=kind)
    assert asked(graph, "c-strays-first") == {
        "cluster": "",
        "region": "us-east-1",
        "strays": [other],
        "vpcs": ["vpc-1"],
    }
    assert said == [f"{other} is tagged as this stack's, whose state does not know it: {KILLED}"]
    aws.things.pop(name)
    assert built([VPC, known], kind=kind).all("command:local:Command") == [], "the state is behind"
    assert asked(built([VPC], kind=kind), "c-strays-first")["strays"] == [other], "the first update was killed"


def test_load_balancers_of_controllers_are_theirs(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    aws = Aws(monkeypatch)
    aws.add(f"{BALANCER}service/1", tags=OWN | {"kubernetes.io/cluster/c": "owned"})
    aws.add(f"{BALANCER}ingress/2", tags=OWN | {"elbv2.k8s.aws/cluster": "c"})
    assert built([VPC], kind="self-managed").all("command:local:Command") == []
    assert said == []


def test_a_state_that_is_behind_removes_nothing(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    aws = Aws(monkeypatch)
    aws.add("c-nodes-2", "i-1", "i-3")
    aws.add("i-2", state="terminated")
    assert built([VPC, CLUSTER, GROUP]).all("command:local:Command") == []
    assert built([VPC, *MACHINES], kind="self-managed").all("command:local:Command") == []
    assert said == []


def test_without_an_answer_and_without_a_network_there_are_none(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    aws = Aws(monkeypatch)
    aws.add("nat-1", "c-nodes-2")
    assert built([]).resources == []
    assert said == []
    aws.silent = "describe_nat_gateways"
    graph = built([VPC, CLUSTER])
    assert asked(graph)["strays"] == ["c-nodes-2"], "one kind without an answer hides no other"
    assert "c-strays-first" not in graph


def test_the_command_stays_as_it_was_when_all_are_gone(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    Aws(monkeypatch).add("c-nodes-1")
    words = ["sh", "twinplane/run", "strays"]
    others = [resource("command:local:Command", interpreter=["sh", "twinplane/run", "volumes"])]
    first, then = {"strays": ["nat-1"]}, {"strays": ["old"], "keep": []}
    last = [resource("command:local:Command", interpreter=words, create=json.dumps(each)) for each in (first, then)]
    graph = built([VPC, CLUSTER, GROUP, *others, *last])
    assert (asked(graph, "c-strays-first"), asked(graph)) == (first, then)
    assert said == []


def commanded(monkeypatch: pytest.MonkeyPatch, **wanted: Any) -> int:
    told = {"region": "us-east-1", "cluster": "c", "vpcs": ["vpc-1"], **wanted}
    monkeypatch.setattr("sys.argv", ["strays", json.dumps(told)])
    return command.main()


def test_all_are_ended_and_what_is_no_stray_after_all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws(monkeypatch)
    names = ["nodes-a", "nodes-b", "i-1", "i-2", "nat-1", "vpce-1", "eice-1", f"{BALANCER}1/1"]
    aws.add(*names)
    assert commanded(monkeypatch, strays=names, keep=["nodes-a", "i-2"]) == 0
    assert sorted(aws.done) == [
        "delete_instance_connect_endpoint eice-1",
        f"delete_load_balancer {BALANCER}1/1",
        "delete_nat_gateway nat-1",
        "delete_nodegroup nodes-b",
        "delete_vpc_endpoints vpce-1",
        "terminate_instances i-1",
    ]
    assert commanded(monkeypatch, strays=["nodes-a"], keep=["nodes-a"]) == 0
    assert len(aws.done) == 6


def test_what_is_only_coming_ends_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws(monkeypatch)
    aws.add("eice-1", "vpce-1", state="pending")
    aws.add("nat-1", state="deleting")
    aws.refusals = {"eice-1": ["IncorrectState"], "vpce-1": ["InvalidVpcEndpointId.NotFound"]}

    def pass_by(_: float) -> None:
        aws.things.pop("vpce-1", None)
        aws.things.pop("nat-1", None)

    monkeypatch.setattr(command.time, "sleep", pass_by)
    assert commanded(monkeypatch, strays=["eice-1", "nat-1", "vpce-1"]) == 0
    assert aws.done == ["delete_instance_connect_endpoint eice-1"]


def test_a_refusal_is_told_in_aws_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    aws = Aws(monkeypatch)
    aws.add("nat-1")
    aws.refusals = {"nat-1": ["UnauthorizedOperation"]}
    assert commanded(monkeypatch, strays=["nat-1"]) == 1
    assert "error: UnauthorizedOperation: no" in capsys.readouterr().err
    aws.refusals = {"nat-1": ["IncorrectState"] * 3}
    monkeypatch.setattr(command, "WAIT", -1)
    with pytest.raises(Failed, match="nat-1: not gone after -1 s: IncorrectState: no"):
        command.end(aws.answer, command.Place(), ["nat-1"], lambda _: None)
