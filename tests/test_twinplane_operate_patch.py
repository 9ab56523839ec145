"""Patch: each kind its own way, nothing when there is nothing to do, and on from where it was interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from stacks.outputs import StackOutputs
from tests.compare_cases import FACTS, GOLDEN, NODES, Answers, cluster
from tests.test_twinplane_compare_nodes import RECOMMENDED
from twinplane import ansible
from twinplane.ansible import Result
from twinplane.errors import Failed, UsageError
from twinplane.operate import patch as module
from twinplane.operate.load import Measured

GROUP = 'eks describe_nodegroup {"clusterName": "tp-eks", "nodegroupName": "workers"}'
MEASURED = Measured(100, 1, 0.5)


class Load:
    """A load that saw always the same."""

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None: ...

    def measured(self) -> Measured:
        return MEASURED


class Stack:
    """A stack that writes down what is done to it."""

    environment: dict[str, str] = {"AWS_PROFILE": "its own"}  # noqa: RUF012

    def __init__(self, kind: str) -> None:
        self.name = f"{kind}-lab"
        self.found = StackOutputs.from_exports(json.loads((GOLDEN / "compare" / f"{kind}.json").read_text())["outputs"])
        self.done: list[str] = []

    def outputs(self) -> StackOutputs:
        return self.found

    def set_config(self, key: str, value: str) -> None:
        self.done.append(f"set {key}={value}")

    def up(self, _: Any) -> None:
        self.done.append("up")

    def refresh(self, _: Any) -> None:
        self.done.append("refresh")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "kubernetes_client", lambda *_: None)
    monkeypatch.setattr(module, "_load", lambda *_: Load())


def managed(monkeypatch: pytest.MonkeyPatch, **group: str) -> Stack:
    """-> the golden managed stack, its node group changed."""
    answers = json.loads((GOLDEN / "compare/managed.json").read_text())["answers"]
    answers[GROUP]["nodegroup"].update(group)
    monkeypatch.setattr(module, "Access", lambda *_: Answers(answers))
    monkeypatch.setattr(module, "look", lambda *_: cluster("managed"))
    return Stack("managed")


def test_managed_raises_the_release_in_the_config_and_lets_pulumi_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch)
    patched = module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert stack.done == ["set twinplane:nodeReleaseVersion=1.36.3-20261101", "up"]
    assert patched.load == MEASURED
    before = patched.export()["before"]
    assert list(before) == ["ip-198-18-0-20.ec2.internal", "ip-198-18-0-21.ec2.internal"]
    assert set(before.values()) == {"1.36.3-20260901, pending: newer image 1.36.3-20261101"}


def test_auto_mode_patches_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch)
    stack.found = replace(stack.found, node_mode="auto")
    with pytest.raises(UsageError, match="nodeMode is auto: EKS patches the nodes by itself"):
        module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert stack.done == []


def test_managed_and_already_newest_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch, releaseVersion="1.36.3-20261101")
    stack.found = replace(stack.found, node_release_version="1.36.3-20261101")
    patched = module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert stack.done == []
    assert patched.export()["changed"] is False


def test_managed_goes_on_where_the_cloud_is_ahead_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch, releaseVersion="1.36.3-20261101")
    assert module.patch(stack, lambda _: None).changed  # type: ignore[arg-type]
    assert stack.done == ["refresh", "set twinplane:nodeReleaseVersion=1.36.3-20261101", "up"]


def test_managed_waits_for_an_update_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch, status="UPDATING")
    monkeypatch.setattr(module, "_wait", lambda *_: stack.done.append("wait"))
    module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert stack.done[:2] == ["wait", "refresh"]


def test_managed_without_an_answer_fails_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch)
    case = json.loads((GOLDEN / "compare/managed.json").read_text())["answers"]
    case[RECOMMENDED] = {"error": "AccessDenied: no"}
    monkeypatch.setattr(module, "Access", lambda *_: Answers(case))
    with pytest.raises(Failed, match=r"ssm get_parameter .*: AccessDenied: no"):
        module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert stack.done == []


def up_to_date(answers: dict[str, Any]) -> None:
    for facts in answers[FACTS]["facts"].values():
        facts["updates"] = []


def cordoned(answers: dict[str, Any]) -> None:
    up_to_date(answers)
    answers[NODES]["items"][1]["spec"]["unschedulable"] = True


@pytest.fixture
def playbooks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    ran: list[tuple[str, dict[str, Any]]] = []

    def run(playbook: str, request: dict[str, Any], _: Any, *, environment: dict[str, str]) -> Result:
        assert environment == Stack.environment
        ran.append((playbook, request))
        return Result(playbook, ok=not request["sshUser"].startswith("bad"), failures=["w-1: apt: no space"])

    monkeypatch.setattr(ansible, "run", run)
    return ran


def test_self_managed_runs_the_playbook_on_all_machines(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    looks = iter((cluster("self-managed"), cluster("self-managed", up_to_date)))
    monkeypatch.setattr(module, "look", lambda *_: next(looks))
    patched = module.patch(Stack("self-managed"), lambda _: None)  # type: ignore[arg-type]
    ((name, request),) = playbooks
    assert name == "patch"
    assert [each["name"] for each in request["machines"]] == ["cp-1", "w-1", "w-2"]
    assert request["sshPrivateKey"] == "key"
    assert patched.before["w-1"] == "20260901, pending: 2 (1 security)"
    assert patched.after["w-1"] == "20260901, pending: 0 (0 security)"
    assert patched.load == MEASURED


def test_self_managed_and_up_to_date_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    monkeypatch.setattr(module, "look", lambda *_: cluster("self-managed", up_to_date))
    assert not module.patch(Stack("self-managed"), lambda _: None).changed  # type: ignore[arg-type]
    assert playbooks == []


def test_self_managed_goes_on_with_a_node_that_was_left_cordoned(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    monkeypatch.setattr(module, "look", lambda *_: cluster("self-managed", cordoned))
    module.patch(Stack("self-managed"), lambda _: None)  # type: ignore[arg-type]
    assert len(playbooks) == 1


@pytest.mark.usefixtures("playbooks")
def test_self_managed_tells_why_the_playbook_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack("self-managed")
    stack.found = replace(stack.found, ssh_user="bad")
    monkeypatch.setattr(module, "look", lambda *_: cluster("self-managed"))
    with pytest.raises(Failed, match="w-1: apt: no space"):
        module.patch(stack, lambda _: None)  # type: ignore[arg-type]
