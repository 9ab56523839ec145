"""A detached supervisor: keeps one command running until it is stopped, and outlives whoever asked for it.

`python -m lab.supervisor NAME -- ARGV...` runs ARGV in the foreground of its own session. The command is started again
when it ends, at once if it ran for a while and more slowly if it keeps failing; exit code 0 means that it ended on
purpose and is left alone. A supervisor killed with SIGKILL leaves its command running: the next `start` takes it over.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import whole_file
from lab.constants import PROJECT, STATE
from lab.errors import Failed, UsageError

#: A command that ran at least this long is started again at once, seconds.
HEALTHY = 5.0
#: Waits before the next start of a command that keeps failing double from the first to the second, seconds.
BACKOFF = (0.2, 10.0)
#: Bytes of log kept from before when a supervisor starts.
LOG_KEPT = 1_000_000
#: Exit code of a supervisor that found another one of the same name.
TAKEN = 75


@dataclass(frozen=True)
class Process:
    """A process that can be told from another one with the same id. `started` is in clock ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The process that has this id now; None when there is none, or only a zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Sends a signal; nothing happens if the process has ended."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float | None) -> bool:
        """Whether the process, anyone's child, ended within `timeout` seconds (None: waits for ever)."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive():
                return True
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(None if timeout is None else timeout * 1000))
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Record:
    """What STATE/run/NAME.pid says: the supervisor, and its command while that runs."""

    supervisor: Process | None
    child: Process | None

    @classmethod
    def read(cls, name: str) -> "Record":
        """Only processes that are alive and are still the same ones: a stale file reads as empty."""
        try:
            data = json.loads(pid_file(name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return cls(None, None)
        supervisor, child = (Process(**data[key]) if data.get(key) else None for key in ("supervisor", "child"))
        return cls(
            supervisor if supervisor and supervisor.alive() else None, child if child and child.alive() else None
        )

    def write(self, name: str) -> None:
        path = pid_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, json.dumps(asdict(self)))


def pid_file(name: str) -> Path:
    return STATE / "run" / f"{name}.pid"


def log_file(name: str) -> Path:
    return STATE / "log" / f"{name}.log"


def alive(name: str) -> bool:
    """Whether a supervisor of this name runs."""
    return Record.read(name).supervisor is not None


def child(name: str) -> Process | None:
    """The command's own process, also when its supervisor is gone."""
    return Record.read(name).child


def start(name: str, argv: Sequence[str], env: dict[str, str] | None = None) -> None:
    """Starts a supervisor unless one runs already; returns when it has written its pid file.

    `env` replaces the environment. Raises Failed when the supervisor does not come up within 10 seconds.
    """
    if alive(name):
        return
    for path in (pid_file(name), log_file(name)):
        path.parent.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)
    _trim(log_file(name))
    with log_file(name).open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "lab.supervisor", name, "--", *argv],
            cwd=PROJECT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 10
    while not alive(name):
        if supervisor.poll() not in (None, TAKEN) or time.monotonic() > deadline:
            raise Failed(f"the supervisor of {name} did not start; see {log_file(name)}")
        time.sleep(0.02)


def hand_over(name: str, argv: Sequence[str]) -> None:
    """Gives a command that runs to a new supervisor, which starts it as `argv` next time. The command runs on.

    Nothing happens where no supervisor of this name runs.
    """
    if old := Record.read(name).supervisor:
        old.signal(signal.SIGKILL)
        old.wait(5)
        start(name, argv)


def stop(name: str, grace: float = 20.0) -> None:
    """Ends the command (SIGTERM, after `grace` seconds SIGKILL) and its supervisor. Nothing to stop is fine."""
    record = Record.read(name)
    if record.supervisor:
        record.supervisor.signal(signal.SIGTERM)
        if not record.supervisor.wait(grace):
            record.supervisor.signal(signal.SIGKILL)
            record.supervisor.wait(5)  # Until then it may still start the command.
    last = Record.read(name).child
    if last:
        last.signal(signal.SIGTERM)
        if not last.wait(grace if not record.supervisor else 0):
            last.signal(signal.SIGKILL)
            last.wait(5)
    if not alive(name):  # Someone may have started it anew.
        pid_file(name).unlink(missing_ok=True)


def _trim(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_KEPT:
        log.write_bytes(log.read_bytes()[-LOG_KEPT:])


class Supervisor:
    """The running supervisor: one per name, kept so by a lock that ends with it."""

    def __init__(self, name: str, argv: Sequence[str]) -> None:
        self.name, self.argv = name, argv
        self.stopping = False
        self.child: Process | None = None
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> int:
        """Runs until SIGTERM or until the command ends with exit code 0. Returns the exit code of the supervisor."""
        lock = os.open(pid_file(self.name).with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return TAKEN
        signal.set_wakeup_fd(self._waker)
        signal.signal(signal.SIGTERM, self._stop)
        self.child, pause = Record.read(self.name).child, 0.0
        while not self.stopping:
            begun = time.monotonic()
            code = self._once()
            if code == 0 or self.stopping:
                break
            lived = time.monotonic() - begun
            pause = 0.0 if lived > HEALTHY else min(max(pause * 2, BACKOFF[0]), BACKOFF[1])
            print(f"supervisor: {self.name} ended with {code} after {lived:.1f} s, again in {pause:g} s", flush=True)
            select.select([self._woken], [], [], pause)
        pid_file(self.name).unlink(missing_ok=True)
        return 0

    def _once(self) -> int | None:
        """One life of the command. Returns its exit code; None for one that another supervisor had started."""
        process = None
        if self.child is None:
            process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL)
            self.child = Process.of(process.pid)
        Record(Process.of(os.getpid()), self.child).write(self.name)
        if self.stopping:  # SIGTERM came before there was a child to pass it to.
            self._stop()
        if process:
            process.wait()
        elif self.child:
            self.child.wait(None)
        self.child = None
        return process.returncode if process else None

    def _stop(self, *_: object) -> None:
        self.stopping = True
        if self.child:
            self.child.signal(signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """`NAME -- ARGV...`"""
    match arguments:
        case [name, "--", *argv] if argv:
            return Supervisor(name, argv).run()
    print("usage: python -m lab.supervisor NAME -- ARGV...", file=sys.stderr)
    return UsageError.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
