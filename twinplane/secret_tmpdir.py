"""A folder in memory for secrets that must be files, and an end to what uses it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from twinplane.errors import UsageError

MEMORY, PROCESSES = Path("/dev/shm"), Path("/proc")
#: In the environment of every process that works with the folder: its path.
MARK = "TWINPLANE_SECRET_TMPDIR"


def check(memory: Path = MEMORY, processes: Path = PROCESSES) -> None:
    """Raises UsageError on a machine that cannot hold secrets in memory and find who uses them."""
    if missing := [str(path) for path in (memory, processes) if not path.is_dir()]:
        raise UsageError(
            f"{' and '.join(missing)}: missing, and secrets are kept there, in memory: run this on Linux; on macOS or "
            "Windows, in a Linux container, a virtual machine or WSL 2"
        )


@contextmanager
def secret_tmpdir(purpose: str, memory: Path = MEMORY) -> Iterator[Path]:
    """Returns a new folder, mode 0700, in memory. At the end it is gone, and so is every process that still works
    with it.

    Folders that killed runs left behind end first, in the same way. Raises UsageError as `check`.
    """
    check(memory)
    prefix = f"twinplane-{os.getuid()}-{purpose}-"
    for old in memory.glob(f"{prefix}*"):
        if not _runs(old.name.removeprefix(prefix)):
            _end(old)
    folder = memory / f"{prefix}{os.getpid()}-{_started(os.getpid())}"
    _end(folder)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _end(folder)


def _started(pid: int) -> str:
    """Returns ticks from the kernel's boot to the process's start: tells it from a later one of the same number."""
    try:
        return (PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _runs(owner: str) -> bool:
    pid, _, started = owner.partition("-")
    return pid.isdigit() and _started(int(pid)) == started


def _end(folder: Path) -> None:
    """Kills the processes that have the folder in their environment or title (ssh writes over the former)."""
    sought = os.fsencode(folder)
    for process in PROCESSES.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            if sought in (process / "environ").read_bytes() + (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
