"""Rules of nftables that the kernel takes."""

import os
import shutil
import subprocess

import pytest

from lab import nftables


def test_a_rule_is_tried_in_a_namespace_of_its_own_and_the_kernel_s_words_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def run(argv: list[str], **given: str) -> subprocess.CompletedProcess[str]:
        asked.append((argv, given["input"]))
        told = "/dev/stdin:1:81-85: Error: Could not process rule: No such file or directory\ntable inet ...\n"
        return subprocess.CompletedProcess(argv, 1, stdout="", stderr=told)

    monkeypatch.setattr(subprocess, "run", run)
    nftables.refuses.cache_clear()
    assert nftables.refuses("queue num 7") == "Could not process rule: No such file or directory"
    [(argv, text)] = asked
    assert argv[:2] == ["unshare", "--net"]
    assert "queue num 7;" in text
    nftables.refuses.cache_clear()


@pytest.mark.skipif(bool(os.geteuid()) or not shutil.which("nft"), reason="it is the kernel that answers, to root")
def test_the_kernel_itself_answers() -> None:
    nftables.refuses.cache_clear()
    assert nftables.refuses("counter accept") == ""
    assert nftables.refuses() in ("", "Could not process rule: No such file or directory")
    assert "syntax error" in nftables.refuses("no such word")
