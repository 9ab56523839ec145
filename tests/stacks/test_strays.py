"""What an update that was killed has left is found, named and removed; nothing else is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from stacks import gone, strays
from tests.support import pulumi_mocks
from tests.support.pulumi_mocks import Graph, run
from twinplane import strays as command

OWN = {"Project": "twinplane", "Stack": "test", "ManagedBy": "pulumi"}
ARN = "arn:aws:ec2:us-east-1:1:instance/"


def resource(kind: str, **outputs: Any) -> dict[str, Any]:
    return {"type": kind, "outputs": outputs}


CLUSTER = resource("aws:eks/cluster:Cluster", name="c")
GROUP = resource(strays.GROUP, nodeGroupName="c-nodes-1")
MACHINES = [resource(strays.MACHINE, arn=ARN + each) for each in ("i-1", "i-2")]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is warned of."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lines.append)
    return lines


class Aws:
    """What AWS has: node groups and machines, each with its tags."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **tags: Mapping[str, str]) -> None:
        self.tags = {name.replace("_", "-"): each for name, each in tags.items()}
        self.clusters, self.instances = ["c"], ["i-1", "i-2"]
        for name, answer in {
            "aws:eks/getClusters:getClusters": lambda _: {"names": self.clusters},
            "aws:eks/getNodeGroups:getNodeGroups": lambda _: {"names": list(self.tags)},
            "aws:eks/getNodeGroup:getNodeGroup": lambda args: {"tags": self.tags[args["nodeGroupName"]]},
            "aws:ec2/getInstances:getInstances": self._instances,
        }.items():
            monkeypatch.setitem(pulumi_mocks.CALLS, name, answer)

    def _instances(self, args: Mapping[str, Any]) -> dict[str, Any]:
        if "filters" in args:
            return {"ids": [each for each in self.instances if each in args["filters"][0]["values"]]}
        assert args["instanceTags"] == OWN
        assert "terminated" not in args["instanceStateNames"]
        return {"ids": self.instances}


def built(state: list[dict[str, Any]], *keep: str) -> Graph:
    return run(lambda: strays.build("c", state, keep))


def asked(graph: Graph) -> dict[str, Any]:
    made = graph.one("command:local:Command", "c-strays").inputs
    assert made["interpreter"] == ["sh", "twinplane/run", "strays"]
    return dict(json.loads(made["create"]))


def test_a_second_node_group_is_named_and_removed(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    Aws(monkeypatch, c_nodes_1=OWN, c_nodes_2=OWN, by_hand={"Project": "twinplane"}, of_another=OWN | {"Stack": "x"})
    graph = built([CLUSTER, GROUP], "c-nodes-1")
    assert asked(graph) == {"cluster": "c", "keep": ["c-nodes-1"], "region": "us-east-1", "strays": ["c-nodes-2"]}
    assert said == [f"c-nodes-2 is tagged as this stack's, whose state does not know it: {strays.KILLED}"]


def test_a_machine_that_the_state_does_not_know(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    aws = Aws(monkeypatch)
    assert built(MACHINES).all("command:local:Command") == []
    aws.instances.append("i-3")
    assert asked(built(MACHINES, "i-1", "i-2"))["strays"] == ["i-3"]
    assert len(said) == 1


def test_a_state_that_is_behind_removes_nothing(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    aws = Aws(monkeypatch, c_nodes_2=OWN)
    aws.instances[:] = ["i-1", "i-3"]
    for state in ([CLUSTER, GROUP], MACHINES):
        assert built(state).all("command:local:Command") == []
    assert said == []


def test_without_an_answer_and_without_a_cluster_there_are_none(said: list[str]) -> None:
    assert built([]).resources == []
    assert said == []


def test_the_command_stays_as_it_was_when_all_are_gone(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    Aws(monkeypatch, c_nodes_1=OWN)
    words = ["sh", "twinplane/run", "strays"]
    others = [resource("command:local:Command", interpreter=["sh", "twinplane/run", "volumes"])]
    last = resource("command:local:Command", interpreter=words, create='{"strays": ["old"]}')
    assert asked(built([CLUSTER, GROUP, *others, last])) == {"strays": ["old"]}
    assert said == []


class Session:
    """Writes down what is asked of AWS."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.exceptions = type("Exceptions", (), {"ResourceNotFoundException": KeyError})

    def client(self, _: str) -> Session:
        return self

    def get_waiter(self, name: str) -> Any:
        return type("Waiter", (), {"wait": lambda _, **given: self.done.append(f"{name} {sorted(given)[0]}")})()

    def delete_nodegroup(self, clusterName: str, nodegroupName: str) -> None:
        self.done.append(f"delete {clusterName}/{nodegroupName}")

    def terminate_instances(self, InstanceIds: list[str]) -> None:
        self.done.append(f"terminate {' '.join(InstanceIds)}")


def test_what_is_no_stray_after_all_is_kept() -> None:
    session = Session()
    wanted = {"cluster": "c", "strays": ["a", "b", "i-1", "i-2"], "keep": ["a", "i-2"]}
    command.remove(wanted, session)  # type: ignore[arg-type]
    assert session.done[0] == "delete c/b"
    assert session.done[2] == "terminate i-1"
    command.remove({"cluster": "c", "strays": ["a"], "keep": ["a"]}, session)  # type: ignore[arg-type]
    assert len(session.done) == 4


# gone

EXPORTS = resource(
    "pulumi:pulumi:Stack",
    machines=[{"role": "control-plane", "instanceId": "i-1"}, {"role": "worker", "instanceId": "i-2"}],
)


@pytest.mark.parametrize("state", [[CLUSTER], [EXPORTS]])
def test_a_cluster_that_is_gone_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch, said: list[str], state: list[dict[str, Any]]
) -> None:
    monkeypatch.delenv("PULUMI_K8S_DELETE_UNREACHABLE", raising=False)
    aws = Aws(monkeypatch)
    run(lambda: gone.check(state))
    aws.clusters, aws.instances = ["other"], ["i-2"]
    with pytest.raises(pulumi.RunError) as told:
        run(lambda: gone.check(state))
    what = {CLUSTER["type"]: "EKS has no cluster c any more"}.get(
        state[0]["type"], "EC2 has none of the control planes any more (i-1)"
    )
    assert str(told.value) == (
        f"{what}: `PULUMI_K8S_DELETE_UNREACHABLE=true pulumi up --refresh` builds the cluster anew, without what was "
        "in it; `twinplane destroy test` removes what is left of the stack"
    )
    monkeypatch.setenv("PULUMI_K8S_DELETE_UNREACHABLE", "true")
    run(lambda: gone.check(state))
    assert said == [f"{what}; with --refresh it is built anew"]


def test_nothing_is_asked_where_nothing_lives_and_no_answer_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    run(lambda: gone.check([]))
    aws = Aws(monkeypatch)
    aws.clusters, aws.instances = [], []

    def refuse(**_: Any) -> Any:
        raise RuntimeError("AccessDenied")

    monkeypatch.setattr(gone.aws.eks, "get_clusters", refuse)
    monkeypatch.setattr(gone.aws.ec2, "get_instances", refuse)
    run(lambda: gone.check([CLUSTER, EXPORTS]))
