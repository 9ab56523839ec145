"""Destroy forgets what is in a cluster only where AWS says that the cluster is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from stacks.outputs import StackOutputs
from tests.compare_cases import GOLDEN
from twinplane.compare.questions import Access, Unanswered
from twinplane.errors import UsageError
from twinplane.operate import destroy as module
from twinplane.operate import orphans, protection
from twinplane.stack import Stack

NOT_FOUND = Unanswered("ResourceNotFoundException: No cluster found for name: tp-eks.")
NO_ANSWER = Unanswered("Could not connect to the endpoint URL")
#: PATH of the stack, not of this process: there is no AWS CLI in it.
NOWHERE = "/nowhere"


def reservation(*ids: str) -> dict[str, Any]:
    each = {
        "InstanceType": "t3.medium",
        "ImageId": "ami-1",
        "LaunchTime": "2026-11-24T00:00:00+00:00",
        "State": {"Name": "running"},
    }
    return {"Reservations": [{"Instances": [{"InstanceId": one, **each} for one in ids]}]}


@pytest.fixture
def outputs() -> dict[str, StackOutputs]:
    def read(kind: str) -> StackOutputs:
        return StackOutputs.from_exports(json.loads((GOLDEN / "compare" / f"{kind}.json").read_text())["outputs"])

    return {kind: read(kind) for kind in ("managed", "self-managed")}


def forgets(
    monkeypatch: pytest.MonkeyPatch, found: StackOutputs | Exception, answer: Any, account: str = "123456789012"
) -> bool:
    """-> whether the destroy of a stack with these outputs may forget, when AWS answers `answer`. Where it may, what
    the cluster left was deleted before."""
    seen: list[Stack] = []
    left: list[str] = []

    def say_to(_: Access, question: Any) -> Any:
        return {"Account": account} if question.service == "sts" else say(answer)

    def say(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(Stack, "outputs", lambda _: say(found))
    monkeypatch.setattr(protection, "lift", lambda *_: None)
    monkeypatch.setattr(orphans, "delete", lambda of, _: left.append(of.cluster_name))
    monkeypatch.setattr(Stack, "destroy", lambda stack, _: seen.append(stack))
    monkeypatch.setattr(Access, "answer", say_to)
    module.destroy(Stack("some", {"PATH": NOWHERE}), lambda _: None)
    (stack,) = seen
    assert stack.name == "some"
    assert stack.environment["PATH"] == NOWHERE
    assert bool(left) == (stack.environment.get("PULUMI_K8S_DELETE_UNREACHABLE") == "true")
    return bool(left)


def test_managed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]) -> None:
    alive = {"cluster": {"name": "tp-eks", "status": "ACTIVE", "version": "1.36"}}
    assert forgets(monkeypatch, outputs["managed"], NOT_FOUND)
    assert not forgets(monkeypatch, outputs["managed"], alive)
    assert not forgets(monkeypatch, outputs["managed"], NO_ANSWER)


def test_self_managed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]) -> None:
    machines = outputs["self-managed"].machines
    workers = [each.instance_id for each in machines if each.role == "worker"]
    assert workers
    assert forgets(monkeypatch, outputs["self-managed"], reservation())
    assert forgets(monkeypatch, outputs["self-managed"], reservation("i-other", *workers))
    assert not forgets(monkeypatch, outputs["self-managed"], reservation(*(each.instance_id for each in machines)))
    assert not forgets(monkeypatch, outputs["self-managed"], NO_ANSWER)


def test_without_an_aws_cli_everything_is_left_whole(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    found = outputs["self-managed"]
    tunnelled = replace(found, machines=tuple(replace(each, ssh_tunnel="eu-west-1") for each in found.machines))
    for answer in (NO_ANSWER, reservation()):
        with pytest.raises(UsageError, match="install version 2"):
            forgets(monkeypatch, tunnelled, answer)


@pytest.mark.parametrize("kind", ["managed", "self-managed"])
def test_in_another_account_nothing_is_gone(
    kind: str, monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    with pytest.raises(UsageError, match="is in account 123456789012, and the AWS credentials are of 210987654321"):
        forgets(monkeypatch, outputs[kind], NOT_FOUND, account="210987654321")


def test_a_stack_that_never_came_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not forgets(monkeypatch, UsageError("has no outputs"), NO_ANSWER)


@pytest.mark.parametrize(("holder", "refused"), [("patch by ada@elsewhere (process 7)", True), (None, False)])
def test_a_stack_whose_machines_are_locked_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs], holder: str | None, refused: bool
) -> None:
    now = datetime.now(UTC).isoformat()
    lease = {"spec": {"holderIdentity": holder, "renewTime": now, "acquireTime": now}}
    monkeypatch.setattr(module, "kubernetes_client", lambda *_: None)
    monkeypatch.setattr(module, "get", lambda *_: json.dumps(lease).encode())
    machines = [machine.instance_id for machine in outputs["self-managed"].machines]
    if refused:
        with pytest.raises(UsageError, match=r"destroy: the machines are locked: patch by ada@elsewhere \(process 7\)"):
            forgets(monkeypatch, outputs["self-managed"], reservation(*machines))
    else:
        assert not forgets(monkeypatch, outputs["self-managed"], reservation(*machines))
