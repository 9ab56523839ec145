"""Debian's updates: which can be installed, what stands in the way, and when a restart is due."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.support.playbook_modules import Run

MIB = 2**20
OPENSSL = {"package": "openssl", "installed": "1", "candidate": "2", "security": True, "held": False}
VIM = {"package": "vim", "installed": "1", "candidate": "3", "security": False, "held": False}
TZDATA = {"package": "tzdata", "installed": "2026a", "candidate": "2026b", "security": True, "held": True}


class Cache:
    """apt's cache. A package that needs a held one is broken when it is marked."""

    def __init__(self, needs_held: tuple[str, ...] = (), download: int = 0, space: int = 0) -> None:
        self.needs_held, self.required_download, self.required_space = needs_held, download, space
        self.marked: list[str] = []

    @property
    def broken_count(self) -> int:
        return len({*self.needs_held} & {*self.marked})

    def clear(self) -> None:
        self.marked.clear()

    def get_changes(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.marked]

    def __getitem__(self, name: str) -> Any:
        return SimpleNamespace(mark_upgrade=lambda: self.marked.append(name), marked_upgrade=True)


@pytest.fixture
def debian(module: Callable[[str], ModuleType]) -> ModuleType:
    assert module
    return sys.modules["ansible.module_utils.debian"]


@pytest.fixture
def updates(module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Returns the module pending_updates on a machine with openssl and vim pending."""
    loaded = module("pending_updates")
    monkeypatch.setattr(loaded, "refresh", lambda: None)
    monkeypatch.setattr(loaded, "packages", Cache)
    monkeypatch.setattr(loaded, "pending", lambda: [OPENSSL, VIM])
    monkeypatch.setattr(loaded, "shortage", lambda _: [])
    monkeypatch.setattr(loaded, "reboot_reasons", list)
    return loaded


def test_pending_updates_keeps_security_apart(updates: ModuleType, run: Run) -> None:
    answer = run(updates)
    assert answer["security"] == ["openssl=2"]
    assert answer["updates"] == [OPENSSL, VIM]


def test_held_packages_are_left_out_and_named(updates: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    libssl = {**OPENSSL, "package": "libssl3"}
    monkeypatch.setattr(updates, "pending", lambda: [TZDATA, libssl, OPENSSL])
    monkeypatch.setattr(updates, "packages", lambda: Cache(needs_held=("libssl3",)))
    answer = run(updates)
    assert answer["security"] == ["openssl=2"]
    assert answer["notes"] == ["tzdata is held, stays at 2026a", "libssl3 needs a held package, stays at 1"]


def test_a_full_disk_is_found_before_anything_is_installed(
    updates: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "shortage", lambda _: ["/boot has 3 MiB free, the updates need 150 MiB"])
    assert run(updates)["msg"] == "/boot has 3 MiB free, the updates need 150 MiB"


def test_an_archive_that_is_away_fails(updates: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refresh() -> None:
        raise updates.Unavailable("apt-get update: E: no\nmirror")

    monkeypatch.setattr(updates, "refresh", refresh)
    assert run(updates)["msg"] == "apt-get update: E: no mirror"


def test_room_is_counted_per_file_system(debian: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(debian, "ARCHIVES", tmp_path)
    free = 200 * MIB
    monkeypatch.setattr(debian.os, "statvfs", lambda _: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    assert debian.shortage(Cache(download=100 * MIB)) == []
    assert debian.shortage(Cache(download=151 * MIB)) == [f"{tmp_path} has 200 MiB free, the updates need 202 MiB"]
    monkeypatch.setattr(debian, "BOOT", tmp_path)
    kernel = Cache(download=80 * MIB)
    kernel.marked = ["linux-image-6.1.0-1-cloud-amd64"]
    assert debian.shortage(kernel) == [f"{tmp_path} has 200 MiB free, the updates need 231 MiB"]


@pytest.fixture
def lock(debian: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Returns a lock of dpkg's kind that nobody holds."""
    path = tmp_path / "lock-frontend"
    path.touch()
    monkeypatch.setattr(debian, "LOCKS", (str(tmp_path / "none"), str(path)))
    return path


def test_the_holder_of_the_lock_is_named(debian: ModuleType, lock: Path) -> None:
    assert debian.holder() == ""
    held = f"f = open({str(lock)!r}, 'w'); fcntl.lockf(f, fcntl.LOCK_EX)"
    code = f"import fcntl, sys; {held}; print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        other.stdout.readline()
        assert debian.holder().startswith(sys.executable)
        assert debian.holder().endswith(f"(process {other.pid})")
        other.communicate()
    assert debian.holder() == ""


class TestDpkg:
    @pytest.fixture
    def dpkg(self, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """Returns the module, on a machine where tzdata is half installed, and dpkg can finish it."""
        loaded = module("dpkg")
        left = ["tzdata"]

        def configure(argv: tuple[str, ...], **_: Any) -> Any:
            assert argv[:3] == ("dpkg", "--configure", "-a")
            left.clear()
            return SimpleNamespace(stderr="")

        monkeypatch.setattr(loaded, "holder", lambda: "")
        monkeypatch.setattr(loaded, "unfinished", lambda: list(left))
        monkeypatch.setattr(loaded.subprocess, "run", configure)
        return loaded

    def test_finishes_once_what_was_interrupted_and_says_so(self, dpkg: ModuleType, run: Run) -> None:
        assert run(dpkg, check=True) == {**run(dpkg, check=True), "changed": True, "ready": True, "notes": []}
        answer = run(dpkg)
        assert answer["notes"] == ["finished what an interrupted dpkg left half installed: tzdata"]
        assert (answer["changed"], answer["ready"]) == (True, True)
        assert (run(dpkg)["changed"], run(dpkg)["notes"]) == (False, [])

    def test_names_what_only_a_person_can_mend(
        self, dpkg: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = SimpleNamespace(stderr="dpkg: error processing package tzdata")
        monkeypatch.setattr(dpkg.subprocess, "run", lambda *_, **__: failed)
        assert run(dpkg)["msg"].startswith("half installed: tzdata; dpkg --configure -a: dpkg: error processing")

    def test_does_nothing_beside_another(self, dpkg: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dpkg, "holder", lambda: "apt-get upgrade (process 12)")
        answer = run(dpkg)
        assert (answer["ready"], answer["changed"]) == (False, False)
        assert answer["progress"] == "dpkg's lock is held by apt-get upgrade (process 12)"


def test_a_newer_kernel_that_does_not_run_is_a_reason_for_a_restart(
    debian: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(debian, "BOOT", tmp_path)
    monkeypatch.setattr(debian, "stale_processes", set)
    monkeypatch.setattr(debian.platform, "release", lambda: "6.1.0-9-cloud-amd64")
    assert not any("kernel" in line for line in debian.reboot_reasons())
    for name in ("6.1.0-9", "6.1.0-10"):
        (tmp_path / f"vmlinuz-{name}-cloud-amd64").touch()
    reason = "kernel 6.1.0-10-cloud-amd64 is installed, 6.1.0-9-cloud-amd64 runs"
    assert reason in debian.reboot_reasons()


@pytest.mark.parametrize("installed", ["6.1.0-9-amd64", "6.1.0-8-cloud-amd64"])
def test_a_kernel_of_another_flavour_or_an_older_one_is_none(
    debian: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: str
) -> None:
    monkeypatch.setattr(debian, "BOOT", tmp_path)
    monkeypatch.setattr(debian, "stale_processes", set)
    monkeypatch.setattr(debian.platform, "release", lambda: "6.1.0-9-cloud-amd64")
    (tmp_path / f"vmlinuz-{installed}").touch()
    assert not any("kernel" in line for line in debian.reboot_reasons())
