"""The lock of a stack's machines, against a control plane that keeps one Lease as the API does."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from twinplane import lock as module
from twinplane.errors import UsageError
from twinplane.lock import Lock

MACHINES = [
    {"name": "control-plane-1", "role": "control-plane", "sshAddress": "203.0.113.1"},
    {"name": "worker-1", "role": "worker", "sshAddress": "203.0.113.2"},
]


class ControlPlane:
    """Answers kubectl on the first control plane."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {}
        self.cluster = True
        #: What kubectl prints instead of an answer.
        self.error = ""
        self.asked: list[str] = []

    def run(
        self, machine: Any, *command: str, stdin: str = "", timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        assert timeout
        self.asked.append(machine["name"])
        if not self.cluster:
            return self._done(3)
        if self.error:
            return self._done(1, error=self.error)
        if "get" in command:
            return self._done(0, json.dumps(self.lease) if self.lease else "")
        sent = json.loads(stdin)
        known, current = (each.get("metadata", {}).get("resourceVersion") for each in (sent, self.lease))
        if "create" in command and self.lease:
            return self._done(1, error="Error from server (AlreadyExists): it exists")
        if "replace" in command and known != current:
            return self._done(1, error="Error from server (Conflict): the object has been modified")
        self.lease = {**sent, "metadata": {**sent["metadata"], "resourceVersion": str(int(current or 0) + 1)}}
        return self._done(0)

    @staticmethod
    def _done(code: int, output: str = "", error: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], code, output, error)

    def held_by(self, holder: str, *, renewed: float = 0, since: float = 0) -> None:
        """The holder renewed its lock that many seconds ago."""
        renewal, acquisition = (
            (datetime.now(UTC) - timedelta(seconds=age)).isoformat().replace("+00:00", "Z") for age in (renewed, since)
        )
        spec = {"holderIdentity": holder, "renewTime": renewal, "acquireTime": acquisition}
        self.lease = {"metadata": {"resourceVersion": "7"}, "spec": {**spec, "leaseDurationSeconds": module.DURATION}}

    @property
    def holder(self) -> str | None:
        found: str | None = self.lease["spec"]["holderIdentity"]
        return found


@pytest.fixture
def control_plane() -> ControlPlane:
    return ControlPlane()


def lock(control_plane: ControlPlane, verb: str = "patch", lines: list[str] | None = None) -> Lock:
    return Lock(control_plane, MACHINES, verb, (lines if lines is not None else []).append)  # type: ignore[arg-type]


def dead() -> int:
    """Returns the number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def test_the_holder_is_named_and_the_lock_given_back(control_plane: ControlPlane) -> None:
    with lock(control_plane):
        assert str(control_plane.holder).startswith("patch by ")
        assert str(os.getpid()) in str(control_plane.holder)
    assert control_plane.holder is None
    assert set(control_plane.asked) == {"control-plane-1"}


def test_the_second_one_is_refused_with_holder_and_age(control_plane: ControlPlane) -> None:
    control_plane.held_by("site by ada@elsewhere (process 12)", since=130)
    with (
        pytest.raises(UsageError, match=r"site by ada@elsewhere \(process 12\), since 2 min 10 s"),
        lock(control_plane),
    ):
        pytest.fail("it was let in")
    assert control_plane.holder == "site by ada@elsewhere (process 12)"


def test_a_living_process_of_this_machine_is_not_taken_for_dead(control_plane: ControlPlane) -> None:
    control_plane.held_by(f"patch by root@{module.here()} (process {os.getppid()})")
    with pytest.raises(UsageError, match="locked"), lock(control_plane):
        pytest.fail("it was let in")


@pytest.mark.parametrize("here", [True, False])
def test_the_lock_of_a_dead_holder_is_taken(control_plane: ControlPlane, here: bool) -> None:
    ours, theirs = f"patch by root@{module.here()} (process {dead()})", "patch by root@elsewhere (process 1)"
    holder, renewed = (ours, 1.0) if here else (theirs, module.DURATION + 1.0)
    control_plane.held_by(holder, renewed=renewed, since=renewed)
    lines: list[str] = []
    with lock(control_plane, lines=lines):
        assert control_plane.holder != holder
    assert holder in lines[0]


def test_machines_without_a_cluster_need_no_lock(control_plane: ControlPlane) -> None:
    control_plane.cluster = False
    with lock(control_plane) as taken:
        assert not taken.lost
    assert control_plane.lease == {}


def test_an_api_that_does_not_answer_is_named_and_gone_on_without(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    control_plane.error = "The connection to the server was refused"
    lines: list[str] = []
    with lock(control_plane, lines=lines):
        pass
    assert lines[-1] == "going on without the lock of the machines: control-plane-1: " + control_plane.error


def test_it_is_renewed_while_held(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW", 0.01)
    with lock(control_plane):
        first = control_plane.lease["spec"]["renewTime"]
        _until(lambda: control_plane.lease["spec"]["renewTime"] > first)
    assert control_plane.holder is None


def test_who_loses_it_knows(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW", 0.01)
    with lock(control_plane) as held:
        control_plane.held_by("patch by root@elsewhere (process 1)")
        _until(lambda: held.lost)
    assert control_plane.holder == "patch by root@elsewhere (process 1)"


def test_it_is_taken_again_where_etcd_was_restored_from_before(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW", 0.01)
    with lock(control_plane, "restore") as held:
        ours = control_plane.holder
        control_plane.held_by(f"site by root@{module.here()} (process {dead()})", renewed=3600.0, since=3700.0)
        _until(lambda: control_plane.holder == ours)
        assert not held.lost


def test_a_cluster_that_its_holder_takes_back_is_not_lost_to_somebody(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW", 0.01)
    with lock(control_plane, "reset") as held:
        control_plane.cluster = False
        held._renewing.join(5)
        assert not held._renewing.is_alive()
        assert not held.lost


def test_two_at_once_one_gets_it(control_plane: ControlPlane) -> None:
    refused: Sequence[str] = []

    def other() -> None:
        try:
            with lock(control_plane, "site"):
                pass
        except UsageError as error:
            refused.append(str(error))  # type: ignore[attr-defined]

    with lock(control_plane):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1


def _until(true: Any) -> None:
    for _ in range(500):
        if true():
            return
        threading.Event().wait(0.01)
    pytest.fail("not within 5 s")
