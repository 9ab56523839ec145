"""The supervisor on real processes, with its files in a temporary directory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import supervisor
from lab.supervisor import Process, Record

SLEEP = ["sleep", "1000"]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The supervisors that these tests start are other processes: they take the place from a copy of the constants."""
    project = tmp_path / "project"
    (project / "lab").mkdir(parents=True)
    source = Path(supervisor.__file__).parent
    (project / "lab/__init__.py").touch()
    for name in ("errors.py", "supervisor.py", "whole_file.py"):
        (project / "lab" / name).symlink_to(source / name)
    state = tmp_path / "state"
    state.mkdir()
    (project / "lab/constants.py").write_text(
        f"from pathlib import Path\nPROJECT = Path({str(project)!r})\nSTATE = Path({str(state)!r})\n"
    )
    monkeypatch.setattr(supervisor, "PROJECT", project)
    monkeypatch.setattr(supervisor, "STATE", state)
    yield state
    for file in (state / "run").glob("*.pid"):
        supervisor.stop(file.stem, grace=1)


def running() -> Process:
    until(lambda: supervisor.child("x"))
    child = supervisor.child("x")
    assert child
    return child


def test_starts_once_and_stops_everything(state: Path) -> None:
    supervisor.start("x", SLEEP)
    record, child = Record.read("x"), running()
    supervisor.start("x", SLEEP)
    assert Record.read("x").supervisor == record.supervisor
    supervisor.stop("x")
    assert not child.alive()
    assert record.supervisor
    assert not record.supervisor.alive()
    assert not (state / "run/x.pid").exists()
    supervisor.stop("x")


def test_a_killed_command_is_started_again() -> None:
    supervisor.start("x", SLEEP)
    first = running()
    first.signal(signal.SIGKILL)
    until(lambda: supervisor.child("x") not in (None, first))


def test_exit_code_0_is_the_end_and_others_are_not(state: Path) -> None:
    supervisor.start("x", ["sh", "-c", f"echo life >>{state}/lives; test $(wc -l <{state}/lives) = 3"])
    until(lambda: not supervisor.alive("x"))
    assert (state / "lives").read_text() == "life\n" * 3
    assert "x ended with 1 after" in supervisor.log_file("x").read_text()


def test_a_command_that_keeps_failing_is_started_ever_more_slowly(state: Path) -> None:
    supervisor.start("x", ["sh", "-c", f"echo life >>{state}/lives; exit 3"])
    until(lambda: "again in 0.8 s" in supervisor.log_file("x").read_text())
    supervisor.stop("x")
    assert (state / "lives").read_text().count("life") <= 4


def test_the_next_start_takes_over_what_a_killed_supervisor_left() -> None:
    supervisor.start("x", SLEEP)
    child, first = running(), Record.read("x").supervisor
    assert first
    first.signal(signal.SIGKILL)
    until(lambda: not supervisor.alive("x"))
    assert supervisor.child("x") == child
    supervisor.start("x", SLEEP)
    assert supervisor.child("x") == child
    child.signal(signal.SIGKILL)
    until(lambda: supervisor.child("x") not in (None, child))


def test_a_command_is_handed_over_while_it_runs_and_comes_back_as_the_new_one(state: Path) -> None:
    supervisor.start("x", SLEEP)
    child, first = running(), Record.read("x").supervisor
    supervisor.hand_over("x", ["sh", "-c", f"touch {state}/new; exec sleep 60"])
    assert supervisor.child("x") == child
    assert Record.read("x").supervisor not in (None, first)
    child.signal(signal.SIGKILL)
    until((state / "new").exists)
    supervisor.stop("x")
    supervisor.hand_over("x", SLEEP)
    assert not supervisor.alive("x")


def test_stop_ends_what_a_killed_supervisor_left() -> None:
    supervisor.start("x", SLEEP)
    child, first = running(), Record.read("x").supervisor
    assert first
    first.signal(signal.SIGKILL)
    supervisor.stop("x")
    assert not child.alive()


def test_stop_kills_what_ignores_sigterm() -> None:
    supervisor.start(
        "x", [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)"]
    )
    child = running()
    ignored = "SigIgn:\t"  # A hexadecimal mask; SIGTERM is bit 14.
    status = Path(f"/proc/{child.pid}/status")
    until(lambda: int(status.read_text().partition(ignored)[2].split()[0], 16) & 1 << 14)
    supervisor.stop("x", grace=0.2)
    assert not child.alive()


def test_stop_without_grace_leaves_no_file_even_right_after_start(state: Path) -> None:
    for _ in range(5):
        supervisor.start("x", SLEEP)
        supervisor.stop("x", grace=0)
        assert not (state / "run/x.pid").exists()


def test_of_two_supervisors_started_at_once_one_remains() -> None:
    command = [sys.executable, "-m", "lab.supervisor", "x", "--", *SLEEP]
    (supervisor.STATE / "run").mkdir()
    both = [subprocess.Popen(command, cwd=supervisor.PROJECT) for _ in range(2)]
    until(lambda: any(process.poll() is not None for process in both))
    loser = next(process for process in both if process.poll() is not None)
    assert loser.returncode == supervisor.TAKEN
    until(lambda: supervisor.alive("x"))
    supervisor.stop("x")
    for process in both:
        process.wait()


@pytest.mark.parametrize(
    "content",
    ["", "{", json.dumps({"supervisor": {"pid": os.getpid(), "started": 1}})],
    ids=["empty", "cut", "pid-reused"],
)
def test_a_stale_pid_file_names_nobody(state: Path, content: str) -> None:
    (state / "run").mkdir()
    (state / "run/x.pid").write_text(content)
    assert Record.read("x") == Record(None, None)
    supervisor.stop("x")
    assert Process.of(os.getpid())


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen(["true"])
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "Z")
    assert Process.of(process.pid) is None
    process.wait()


def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert supervisor.main(["x"]) == 2
    assert capsys.readouterr().err == "usage: python -m lab.supervisor NAME -- ARGV...\n"
