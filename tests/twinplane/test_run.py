"""The line by which a stack's state starts this program: by the project's own Python, wherever the project is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT


def run(folder: Path, options: str, *argv: str, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    (folder / "Pulumi.yaml").write_text(f"name: mine\nruntime:\n  name: python\n{options}")
    (folder / "twinplane").symlink_to(ROOT / "twinplane")
    return subprocess.run(
        ["sh", "twinplane/run", *argv], cwd=folder, env={"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("value", [".venv", '"other place"', str(ROOT / ".venv")])
def test_the_virtual_environment_that_the_project_names(tmp_path: Path, value: str) -> None:
    place = tmp_path / value.strip('"')
    if not place.exists():
        place.symlink_to(sys.prefix)
    done = run(tmp_path, f"  options:\n    toolchain: pip\n    virtualenv: {value}\n", "keys", "ed25519", "a comment")
    assert done.returncode == 0, done.stderr
    assert "a comment" in done.stdout


def test_without_one_the_python_on_path(tmp_path: Path) -> None:
    done = run(tmp_path, "", "keys", "ed25519", "a", path=f"{Path(sys.executable).parent}:{os.defpath}")
    assert done.returncode == 0, done.stderr


def test_a_folder_that_was_never_set_up_says_what_to_do(tmp_path: Path) -> None:
    done = run(tmp_path, "  options:\n    virtualenv: .venv\n", "keys", "ed25519", "a")
    assert done.returncode == 127
    assert done.stderr == (
        f"error: no .venv/bin/python3 in {tmp_path}: run `make setup`, or `pulumi install`, there first\n"
    )
