"""The nodes as the playbooks see them: who is missing, who leaves, who is not Ready and why."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.playbook_modules import Run

MACHINES = {"control-plane-1": "aws:///a/i-1", "worker-1": "aws:///a/i-2", "worker-2": "aws:///a/i-3"}


def node(name: str, provider: str, ready: bool = True, **spec: Any) -> dict[str, Any]:
    message = "kubelet is posting ready status" if ready else "Kubelet stopped posting node status."
    condition = {"type": "Ready", "status": "True" if ready else "Unknown", "message": message}
    return {
        "metadata": {"name": name, "labels": {}},
        "spec": {"providerID": provider, **spec},
        "status": {"conditions": [condition]},
    }


@pytest.fixture
def ask(
    module: Callable[[str], ModuleType], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Returns the module's answer where kubectl prints these nodes, or fails with the text."""

    def call(nodes: list[dict[str, Any]] | str) -> dict[str, Any]:
        program = tmp_path / "kubectl"
        if isinstance(nodes, str):
            program.write_text(f"#!/bin/sh\necho '{nodes}' >&2\nexit 1\n")
        else:
            (tmp_path / "nodes.json").write_text(json.dumps({"items": nodes}))
            program.write_text(f"#!/bin/sh\ncat {tmp_path}/nodes.json\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return run(module("nodes"), machines=MACHINES)

    return call


def test_all_well(ask: Callable[..., dict[str, Any]]) -> None:
    answer = ask([node(name, provider, podCIDR="10.0.0.0/24") for name, provider in MACHINES.items()])
    assert answer["ready"]
    assert (answer["missing"], answer["leaving"], answer["progress"]) == ([], [], "")
    assert answer["ranges"] == dict.fromkeys(MACHINES, "10.0.0.0/24")
    assert not answer["changed"]


def test_who_is_not_there_or_not_ready_is_named_with_the_reason(ask: Callable[..., dict[str, Any]]) -> None:
    answer = ask([node("control-plane-1", "aws:///a/i-1"), node("worker-1", "aws:///a/i-2", ready=False)])
    assert not answer["ready"]
    assert answer["missing"] == ["worker-2"]
    assert "worker-2 has no Node" in answer["progress"]
    assert "worker-1 is not Ready: Kubelet stopped posting node status." in answer["progress"]


def test_nodes_leave_whose_machine_is_gone_or_another(ask: Callable[..., dict[str, Any]]) -> None:
    others = [node("worker-3", "aws:///a/i-4"), node("worker-2", "aws:///a/i-old")]
    answer = ask([node("control-plane-1", "aws:///a/i-1"), node("worker-1", ""), *others])
    assert answer["leaving"] == ["worker-3", "worker-2"]


def test_taints_are_told(ask: Callable[..., dict[str, Any]]) -> None:
    taints = [{"key": "twinplane/joining", "effect": "NoSchedule"}]
    assert ask([node("worker-1", "", taints=taints)])["nodes"]["worker-1"]["taints"] == ["twinplane/joining"]


def test_an_api_that_does_not_answer_is_an_answer(ask: Callable[..., dict[str, Any]]) -> None:
    answer = ask("The connection to the server was refused")
    assert not answer["reached"]
    assert not answer["ready"]
    assert answer["progress"] == "the API does not answer: The connection to the server was refused"
