"""Patch: each kind its own way, nothing when there is nothing to do, and on from where it was interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.compare_cases import FACTS, GOLDEN, NODES, RECOMMENDED, Answers, cluster
from twinplane import ansible, compare
from twinplane.ansible import Result
from twinplane.errors import Failed, UsageError
from twinplane.live.unanswered import Unanswered
from twinplane.operate import patch as module
from twinplane.operate import settle
from twinplane.operate.load import Measured
from twinplane.outputs import StackOutputs

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


def nodes(cordoned: str = "", ready: str = "True") -> dict[str, Any]:
    """Returns a NodeList; the one that is named was cordoned by a patch."""
    conditions = [{"type": "Ready", "status": ready}]
    metadata = {"name": cordoned, "annotations": {"twinplane/patching-cordoned": "false"}}
    own = {"metadata": metadata, "spec": {"unschedulable": True}, "status": {"conditions": conditions}}
    other = {"metadata": {"name": "other"}, "spec": {}, "status": {"conditions": conditions}}
    return {"items": [own, other] if cordoned else [other]}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "kubernetes_client", lambda *_: None)
    monkeypatch.setattr(module, "_load", lambda *_: Load())
    monkeypatch.setattr(module, "get", lambda *_: json.dumps(nodes()))


def managed(monkeypatch: pytest.MonkeyPatch, **group: str) -> Stack:
    """Returns the golden managed stack, its node group changed."""
    answers = json.loads((GOLDEN / "compare/managed.json").read_text())["answers"]
    answers[GROUP]["nodegroup"].update(group)
    monkeypatch.setattr(module, "Access", lambda *_: Answers(answers))
    monkeypatch.setattr(compare, "look", lambda *_: cluster("managed"))
    return Stack("managed")


def test_managed_raises_the_release_in_the_config_and_lets_pulumi_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch)
    patched = module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert stack.done == ["set nodeReleaseVersion=1.36.3-20261101", "up"]
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
    assert stack.done == ["refresh", "set nodeReleaseVersion=1.36.3-20261101", "up"]


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
        bad = request["sshUser"].startswith("bad")
        return Result(
            playbook, ok=not bad, failures=["w-1: apt: no space"] if bad else [], notes=["w-2: tzdata is held"]
        )

    monkeypatch.setattr(ansible, "run", run)
    return ran


def test_self_managed_runs_the_playbook_on_all_machines(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    looks = iter((cluster("self-managed"), cluster("self-managed", up_to_date)))
    monkeypatch.setattr(compare, "look", lambda *_: next(looks))
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
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed", up_to_date))
    assert not module.patch(Stack("self-managed"), lambda _: None).changed  # type: ignore[arg-type]
    assert playbooks == []


@pytest.mark.parametrize(
    ("name", "days", "due"),
    [
        ("/etc/kubernetes/pki/apiserver.crt", 89, True),
        ("/etc/kubernetes/pki/apiserver.crt", 90, False),
        ("/var/lib/kubelet/pki/kubelet.crt", 10, False),
    ],
)
def test_a_certificate_that_is_due_is_something_to_do(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]], name: str, days: int, due: bool
) -> None:
    seen = cluster("self-managed", up_to_date)
    [first, *others] = [each for each in seen.certificates if each.machine and not each.certificate.authority]
    near = replace(first, days=days, certificate=replace(first.certificate, name=name))
    seen = replace(seen, certificates=(near, *(replace(each, days=300) for each in others)))
    monkeypatch.setattr(compare, "look", lambda *_: seen)
    module.patch(Stack("self-managed"), lambda _: None)  # type: ignore[arg-type]
    assert len(playbooks) == due


def test_self_managed_goes_on_with_a_node_that_was_left_cordoned(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed", cordoned))
    module.patch(Stack("self-managed"), lambda _: None)  # type: ignore[arg-type]
    assert len(playbooks) == 1


@pytest.mark.usefixtures("playbooks")
def test_self_managed_tells_why_the_playbook_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack("self-managed")
    stack.found = replace(stack.found, ssh_user="bad")
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed"))
    with pytest.raises(Failed, match="w-1: apt: no space"):
        module.patch(stack, lambda _: None)  # type: ignore[arg-type]


def ill(answers: dict[str, Any]) -> None:
    """Makes the second node NotReady."""
    for condition in answers[NODES]["items"][1]["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "Unknown"


def ill_and_up_to_date(answers: dict[str, Any]) -> None:
    ill(answers)
    up_to_date(answers)


def test_what_is_held_is_told(monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]) -> None:
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed"))
    assert module.patch(Stack("self-managed"), lambda _: None).export()["notes"] == ("w-2: tzdata is held",)  # type: ignore[arg-type]
    assert len(playbooks) == 1


def test_no_node_is_touched_while_one_is_not_well(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed", ill))
    with pytest.raises(UsageError, match=r"^patch: self-managed-lab: w-1: NotReady.*; mend that first, .* --force$"):
        module.patch(Stack("self-managed"), lambda _: None)  # type: ignore[arg-type]
    assert playbooks == []
    forced = module.patch(Stack("self-managed"), lambda _: None, force=True)  # type: ignore[arg-type]
    assert len(playbooks) == 1
    assert [line.startswith("self-managed-lab: w-1: NotReady") for line in forced.troubles] == [True]


def newest(answers: dict[str, Any]) -> None:
    answers[RECOMMENDED]["Parameter"]["Value"] = "1.36.3-20260901"


def test_an_update_that_patched_nothing_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = module.patch(managed(monkeypatch), lambda _: None)  # type: ignore[arg-type]
    assert patched.troubles[0] == (
        "managed-lab: ip-198-18-0-20.ec2.internal: not patched, 1.36.3-20260901, pending: newer image 1.36.3-20261101"
    )
    assert len(patched.troubles) == 2


def test_managed_looks_at_health_first_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch)
    monkeypatch.setattr(compare, "look", lambda *_: cluster("managed", ill))
    with pytest.raises(UsageError, match=r"NotReady.*--force"):
        module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert stack.done == []


def test_managed_goes_on_with_an_update_whose_nodes_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = managed(monkeypatch, status="UPDATING")
    looks = iter((cluster("managed", ill), cluster("managed", newest)))
    monkeypatch.setattr(compare, "look", lambda *_: next(looks))
    monkeypatch.setattr(module, "_wait", lambda *_: stack.done.append("wait"))
    assert module.patch(stack, lambda _: None).troubles == ()  # type: ignore[arg-type]
    assert stack.done[0] == "wait"


def test_the_node_that_a_patch_left_behind_is_no_reason(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    looks = iter((cluster("self-managed", ill_and_up_to_date), cluster("self-managed", up_to_date)))
    monkeypatch.setattr(compare, "look", lambda *_: next(looks))
    monkeypatch.setattr(module, "get", lambda *_: json.dumps(nodes("w-1", "False")))
    assert module.patch(Stack("self-managed"), lambda _: None).troubles == ()  # type: ignore[arg-type]
    assert len(playbooks) == 1


def test_what_an_ended_patch_restarted_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    looks = iter((cluster("self-managed", ill), cluster("self-managed"), cluster("self-managed", up_to_date)))
    monkeypatch.setattr(compare, "look", lambda *_: next(looks))
    monkeypatch.setattr(module, "get", lambda *_: json.dumps(nodes("w-2")))
    assert module.patch(Stack("self-managed"), lambda _: None).troubles == ()  # type: ignore[arg-type]
    assert len(playbooks) == 1


def test_nothing_to_do_hides_no_trouble(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed", ill_and_up_to_date))
    patched = module.patch(Stack("self-managed"), lambda _: None)  # type: ignore[arg-type]
    assert not patched.changed
    assert [line.startswith("self-managed-lab: w-1: NotReady") for line in patched.troubles] == [True]
    assert playbooks == []


@pytest.mark.usefixtures("playbooks")
def test_it_waits_until_compare_is_content_and_says_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter((cluster("self-managed"), cluster("self-managed", ill), cluster("self-managed")))
    monkeypatch.setattr(compare, "look", lambda *_: next(looks))
    monkeypatch.setattr(settle.time, "sleep", lambda _: None)
    lines: list[str] = []
    assert module.patch(Stack("self-managed"), lines.append).troubles == ()  # type: ignore[arg-type]
    [waited] = [line for line in lines if line.startswith("waiting for ")]
    assert "w-1: NotReady" in waited


@pytest.mark.usefixtures("playbooks")
def test_what_is_not_well_after_the_time_is_a_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter((cluster("self-managed"), cluster("self-managed", ill)))
    monkeypatch.setattr(compare, "look", lambda *_: next(looks))
    monkeypatch.setattr(settle, "SETTLING", -1)
    assert len(module.patch(Stack("self-managed"), lambda _: None).troubles) == 1  # type: ignore[arg-type]


@pytest.mark.usefixtures("playbooks")
@pytest.mark.parametrize(
    ("left", "words"),
    [
        (nodes(), "no node is left cordoned by it; when that is mended, run it again"),
        (nodes("w-1"), "w-1 is left cordoned, `kubectl uncordon w-1` opens it; when that is mended, run it again"),
        (nodes("w-1", "Unknown"), "w-1 is left cordoned and not Ready, `kubectl uncordon w-1` opens it"),
    ],
)
def test_a_failure_says_in_what_state_it_leaves_the_nodes(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, Any], words: str
) -> None:
    stack = Stack("self-managed")
    stack.found = replace(stack.found, ssh_user="bad")
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed"))
    monkeypatch.setattr(module, "get", lambda *_: json.dumps(left))
    with pytest.raises(Failed) as failure:
        module.patch(stack, lambda _: None)  # type: ignore[arg-type]
    assert f"w-1: apt: no space; {words}" in str(failure.value)


def test_a_failure_says_that_the_state_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> bytes:
        raise Unanswered("Connection refused")

    stack = Stack("self-managed")
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed"))
    monkeypatch.setattr(module, "get", refuse)
    monkeypatch.setattr(ansible, "run", lambda *_, **__: Result("patch", failures=["w-1: gone"]))
    with pytest.raises(Failed, match=r"w-1: gone; the API does not say .* \(Connection refused\): `kubectl get nodes`"):
        module.patch(stack, lambda _: None)  # type: ignore[arg-type]


def test_a_skipped_machine_is_left_out_and_its_state_is_no_reason(
    monkeypatch: pytest.MonkeyPatch, playbooks: list[tuple[str, dict[str, Any]]]
) -> None:
    monkeypatch.setattr(compare, "look", lambda *_: cluster("self-managed", ill))
    patched = module.patch(Stack("self-managed"), lambda _: None, skip=("w-1",))  # type: ignore[arg-type]
    ((_, request),) = playbooks
    assert [each["name"] for each in request["machines"]] == ["cp-1", "w-2"]
    assert patched.troubles == ()


@pytest.mark.parametrize(
    ("kind", "skip", "words"),
    [
        ("self-managed", ("w-9",), "--skip w-9: no such machine; there are cp-1, w-1, w-2"),
        ("self-managed", ("cp-1",), "one control plane must stay"),
        ("managed", ("ip-198-18-0-20.ec2.internal",), "--skip is for self-managed stacks"),
    ],
)
def test_a_machine_that_cannot_be_skipped_is_wrong_use(kind: str, skip: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        module.patch(Stack(kind), lambda _: None, skip=skip)  # type: ignore[arg-type]
