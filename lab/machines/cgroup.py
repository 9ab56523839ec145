"""The control groups of one host: its own child group in every hierarchy, cgroup v1 (hybrid) or v2.

They bound a host exactly: whatever its supervisor, systemd-nspawn or init did, the processes in them are the host.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.errors import Failed, UsageError

PREFIX = "twinplane-"
#: What a kubelet needs; cgroup v2 hands controllers down only when asked.
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy, and the place in it where this process may make groups."""

    mount: Path
    own: Path
    v2_only: bool = False

    @classmethod
    def all(cls, proc: Path = Path("/proc/self")) -> "list[Hierarchy]":
        """Every hierarchy of the machine. Raises UsageError where there is none."""
        mounts: dict[str, Path] = {}
        for line in (proc / "mountinfo").read_text().splitlines():
            left, _, right = line.partition(" - ")
            kind, _, options = right.split(maxsplit=2)
            for controller in {"cgroup": options.split(","), "cgroup2": [""]}.get(kind, []):
                mounts.setdefault(controller, Path(left.split()[4]))
        found = {}
        for line in (proc / "cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            mount = mounts.get(controllers.split(",")[0])
            if mount:
                found[mount] = mount / own.lstrip("/")
        if not found:
            raise UsageError("no control groups are mounted below /sys/fs/cgroup: hosts cannot run on this machine")
        if set(mounts) == {""}:  # Groups with processes cannot hand controllers down: only the root may do both.
            return [cls(mount, mount, v2_only=True) for mount in found]
        return [cls(mount, own) for mount, own in found.items()]


class Cgroup:
    """The groups of the host `name`."""

    def __init__(self, name: str, hierarchies: list[Hierarchy] | None = None) -> None:
        self.name = PREFIX + name
        self.hierarchies = Hierarchy.all() if hierarchies is None else hierarchies

    @classmethod
    def names(cls, hierarchies: list[Hierarchy] | None = None) -> set[str]:
        """The hosts that have a group anywhere."""
        mounts = {hierarchy.mount for hierarchy in (Hierarchy.all() if hierarchies is None else hierarchies)}
        return {top.name.removeprefix(PREFIX) for mount in mounts for top in _tops(mount)}

    def enter(self, pid: int) -> None:
        """Makes the groups and moves a process into them."""
        for hierarchy in self.hierarchies:
            group = hierarchy.own / self.name
            if hierarchy.v2_only:
                _hand_down(hierarchy.own)
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):  # In cgroup v1 empty at first, and then nothing may enter.
                if not hierarchy.v2_only and (hierarchy.own / setting).exists():
                    (group / setting).write_text((hierarchy.own / setting).read_text())
            (group / "cgroup.procs").write_text(str(pid))

    def groups(self) -> list[Path]:
        """The host's groups and all below, deepest first, wherever their maker was when it made them."""
        found: list[Path] = []
        for mount in {hierarchy.mount for hierarchy in self.hierarchies}:
            for top in _tops(mount):
                if top.name == self.name:
                    found += (Path(path) for path, _, _ in os.walk(top, topdown=False))
        return found

    def processes(self) -> set[int]:
        pids: set[int] = set()
        for group in self.groups():
            with suppress(OSError):
                pids.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
        return pids - {0, os.getpid()}

    def kill(self, timeout: float = 10.0) -> None:
        """SIGKILL to everything in the groups until nothing is left. Raises Failed after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise Failed(f"processes of {self.name} do not end: {sorted(pids)}")
            time.sleep(0.02)

    def remove(self, timeout: float = 5.0) -> None:
        """Removes the groups; they must be empty. A dying process holds its group for a moment."""
        deadline = time.monotonic() + timeout
        while groups := self.groups():
            for group in groups:
                with suppress(OSError):
                    group.rmdir()
            if time.monotonic() > deadline:
                raise Failed(f"control groups of {self.name} cannot be removed: {groups[-1]}")
            time.sleep(0.01)


def _tops(mount: Path) -> Iterator[Path]:
    """The topmost groups of hosts; what is below them is the guests'."""
    for path, children, _ in os.walk(mount):
        yield from (Path(path, child) for child in children if child.startswith(PREFIX))
        children[:] = [child for child in children if not child.startswith(PREFIX)]


def _hand_down(group: Path) -> None:
    available = (group / "cgroup.controllers").read_text().split()
    wanted = [controller for controller in CONTROLLERS if controller in available]
    try:
        (group / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in wanted))
    except OSError as error:
        raise UsageError(
            f"{group} cannot hand cgroup controllers down ({error.strerror}): run on the machine itself"
        ) from None
