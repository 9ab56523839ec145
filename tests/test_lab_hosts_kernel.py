"""The kernel's limits while the lab is up, and after it."""

from pathlib import Path

from lab.machines import kernel

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
