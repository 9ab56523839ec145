"""Loop devices of a kernel that has none: what /sys/block tells of them, and losetup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.machines import volume


class LoopDevices:
    """Takes the place of the kernel's below a folder, for the state folder `state`."""

    def __init__(self, folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.block, self.mounted, self.calls = folder / "block", set[str](), list[tuple[str, ...]]()
        self.nodes: dict[Path, tuple[int, int]] = {}
        for number in range(3):
            (self.block / f"loop{number}").mkdir(parents=True)
            (self.block / f"loop{number}/dev").write_text(f"7:{number}\n")
        monkeypatch.setattr(volume, "BLOCK", self.block)
        monkeypatch.setattr(volume, "STATE", state)
        monkeypatch.setattr(volume, "_losetup", self._losetup)
        monkeypatch.setattr(volume.os, "mknod", self._mknod)

    def use(self, name: str, file: str) -> None:
        """Gives the device a file."""
        (self.block / name / "loop").mkdir()
        (self.block / name / "loop/backing_file").write_text(f"{file}\n")
        (self.block / name / "loop/autoclear").write_text("0\n")

    def unmount(self, name: str) -> None:
        """Its last user goes."""
        self.mounted.discard(name)
        if (self.block / name / "loop/autoclear").read_text() == "1\n":
            shutil.rmtree(self.block / name / "loop")

    def used(self) -> dict[str, str]:
        """Returns device -> file."""
        told = sorted(self.block.glob("*/loop/backing_file"))
        return {path.parts[-3]: path.read_text().strip() for path in told}

    def _losetup(self, *arguments: str) -> str:
        self.calls.append(arguments)
        match arguments:
            case ["--find", "--show", file]:
                name = next(path.name for path in sorted(self.block.glob("*")) if not (path / "loop").exists())
                self.use(name, file)
                return f"/dev/{name}"
            case ["--detach", device]:
                name = Path(device).name
                (self.block / name / "loop/autoclear").write_text("1\n")
                if name not in self.mounted:
                    self.unmount(name)
            case ["--set-capacity", device]:
                assert Path(device).name in self.used()
            case _:
                raise AssertionError(arguments)
        return ""

    def _mknod(self, path: Path, mode: int, device: int) -> None:
        path.touch(exist_ok=False)
        self.nodes[path] = mode, device
