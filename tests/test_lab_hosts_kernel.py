"""The kernel's limits while the lab is up, and after it; the rules that it takes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.hosts import kernel

NAME = "fs/inotify/max_user_instances"


def _root(folder: Path, value: int) -> Path:
    (folder / NAME).parent.mkdir(parents=True)
    (folder / NAME).write_text(f"{value}\n")
    return folder


def test_a_low_limit_is_raised_and_set_back(tmp_path: Path) -> None:
    root, kept = _root(tmp_path / "sys", 128), tmp_path / "state" / "kernel.json"
    kernel.up(root, kept)
    kernel.up(root, kept)
    assert (root / NAME).read_text() == "8192"
    kernel.down(root, kept)
    assert (root / NAME).read_text() == "128"
    kernel.down(root, kept)
    assert not kept.exists()


def test_a_high_limit_is_left_alone(tmp_path: Path) -> None:
    root, kept = _root(tmp_path / "sys", 100_000), tmp_path / "kernel.json"
    kernel.up(root, kept)
    kernel.down(root, kept)
    assert int((root / NAME).read_text()) == 100_000


def test_a_rule_is_tried_in_a_namespace_of_its_own_and_the_kernel_s_words_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def run(argv: list[str], **given: str) -> subprocess.CompletedProcess[str]:
        asked.append((argv, given["input"]))
        told = "/dev/stdin:1:81-85: Error: Could not process rule: No such file or directory\ntable inet ...\n"
        return subprocess.CompletedProcess(argv, 1, stdout="", stderr=told)

    monkeypatch.setattr(subprocess, "run", run)
    kernel.refuses.cache_clear()
    assert kernel.refuses("queue num 7") == "Could not process rule: No such file or directory"
    [(argv, text)] = asked
    assert argv[:2] == ["unshare", "--net"]
    assert "queue num 7;" in text
    kernel.refuses.cache_clear()


@pytest.mark.skipif(bool(os.geteuid()) or not shutil.which("nft"), reason="it is the kernel that answers, to root")
def test_the_kernel_itself_answers() -> None:
    kernel.refuses.cache_clear()
    assert kernel.refuses("counter accept") == ""
    assert kernel.refuses() in ("", "Could not process rule: No such file or directory")
    assert "syntax error" in kernel.refuses("no such word")
