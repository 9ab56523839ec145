"""Files that are replaced whole."""

import os
from pathlib import Path

import pytest

from lab import whole_file


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_content_and_mode_are_those_asked_for(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    whole_file.write(path, "old, and longer", 0o640)
    before = path.open()
    whole_file.write(path, b"new", mode)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)
    assert before.read() == "old, and longer", "who reads meanwhile reads to the end of what there was"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_writer_left_is_used_up(tmp_path: Path) -> None:
    left = tmp_path / f".file.{os.getpid()}"
    left.write_text("half of something secret, open to all")
    left.chmod(0o644)
    whole_file.write(tmp_path / "file", "whole")
    assert ((tmp_path / "file").read_text(), (tmp_path / "file").stat().st_mode & 0o777) == ("whole", 0o600)
    assert not left.exists()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    whole_file.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        whole_file.write(path, "\udcff")
    assert path.read_text() == "old"
