"""A private folder ends with its processes, now or at the next run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twinplane.errors import UsageError
from twinplane.secret_tmpdir import MARK, check, secret_tmpdir


def sleeper(folder: Path) -> subprocess.Popen[bytes]:
    program = "print(flush=True); import time; time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, MARK: str(folder)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # it has executed: its environment is its own
    return process


def test_the_folder_is_private_and_ends_with_its_processes(tmp_path: Path) -> None:
    with secret_tmpdir("test", tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "secret").write_text("x")
        process = sleeper(folder)
    assert process.wait(5) == -9
    assert not folder.exists()


def test_what_a_killed_run_left_ends_with_the_next(tmp_path: Path) -> None:
    stale = tmp_path / f"twinplane-{os.getuid()}-test-{os.getpid()}-1"  # this process's number, another's start
    stale.mkdir()
    process = sleeper(stale)
    with secret_tmpdir("test", tmp_path):
        assert process.wait(5) == -9
        assert not stale.exists()


def test_a_run_that_lives_is_left_alone(tmp_path: Path) -> None:
    with secret_tmpdir("test", tmp_path) as first:
        program = (
            "import sys; from pathlib import Path; from twinplane.secret_tmpdir import secret_tmpdir\n"
            "with secret_tmpdir('test', Path(sys.argv[1])): pass"
        )
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=30)
        assert first.exists()


def test_memory_is_a_must(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none: missing, and secrets"), secret_tmpdir("test", tmp_path / "none"):
        pass


def test_a_machine_without_processes_to_look_at_is_no_place_for_secrets(tmp_path: Path) -> None:
    check()
    with pytest.raises(UsageError, match=r"shm and .*proc: missing, .* WSL 2"):
        check(tmp_path / "shm", tmp_path / "proc")
