"""A disk that outlives hosts: a sparse file, and a loop device of the kernel while a host has it.

Guests have no udev. What it would make of the disk of an EBS volume is made here: the device's node, its link by the
volume's id, and udev's record of it, where lsblk finds the serial number and systemd the link.
"""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lab.constants import STATE
from lab.errors import Failed

GIB = 1024**3
#: Where the kernel tells of its loop devices (https://docs.kernel.org/admin-guide/abi-testing.html, "loop").
BLOCK = Path("/sys/block")


class Volume:
    """A volume by its id, whether its file exists or not."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.file = folder() / id
        #: As udev makes of the model and the serial number that NVMe disks of EBS have.
        self.serial = id.replace("-", "")
        self.link = f"disk/by-id/nvme-Amazon_Elastic_Block_Store_{self.serial}"

    @classmethod
    def all(cls) -> list[Volume]:
        """Every volume that has a file."""
        return [cls(path.name) for path in sorted(folder().glob("*"))]

    @property
    def loop(self) -> str | None:
        """The name of its loop device, such as `loop3`; None while it has none."""
        return next((name for name, file in loops() if file == str(self.file)), None)

    def make(self, size: int) -> None:
        """Makes the file, empty, of `size` GiB; one that is smaller grows, and one that is larger stays. Idempotent."""
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            if os.fstat(file.fileno()).st_size < size * GIB:
                file.truncate(size * GIB)
                if loop := self.loop:
                    _losetup("--set-capacity", f"/dev/{loop}")

    def open(self) -> str | None:
        """Returns the name of its loop device, made if there is none; None while one that was closed is still in use.

        Raises Failed where the kernel gives none.
        """
        with self.file.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two devices of one file would not know of each other's writes
            loop = self.loop or _losetup("--find", "--show", str(self.file)).removeprefix("/dev/")
            return None if _closing(loop) else loop

    def close(self) -> None:
        """Gives its loop device back: at once, or when the last file system on it is unmounted. Idempotent."""
        if (loop := self.loop) and not _closing(loop):
            _losetup("--detach", f"/dev/{loop}")

    def delete(self) -> None:
        """Removes all of it. Idempotent."""
        self.close()
        self.file.unlink(missing_ok=True)

    def show(self, root: Path, loop: str) -> None:
        """Makes what udev makes of the loop device, below the guest's root directory. Idempotent."""
        link = root / "dev" / self.link
        if link.is_symlink():
            return
        record, tag, node = _places(root, loop)
        for path in (link, record, tag):
            path.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(f"S:{self.link}\nI:1\nE:ID_SERIAL_SHORT={self.serial}\nG:systemd\nQ:systemd\nV:1\n")
        tag.touch()
        with suppress(FileExistsError):
            os.mknod(node, stat.S_IFBLK | 0o660, os.makedev(*map(int, _number(loop).split(":"))))
        link.symlink_to(f"../../{loop}")  # last: who sees it finds the rest

    def hide(self, root: Path) -> None:
        """Removes what `show` made. Idempotent."""
        link = root / "dev" / self.link
        if link.is_symlink():
            for path in (*_places(root, link.readlink().name), link):
                path.unlink(missing_ok=True)


def folder() -> Path:
    """Returns where the files of volumes are, as the kernel tells it."""
    return STATE.resolve() / "volumes"


def sweep() -> None:
    """Frees the loop devices whose volumes have no file any more. Those of others are not touched."""
    for name, file in loops():
        if file.startswith(f"{folder()}/") and not Path(file).exists() and not _closing(name):
            _losetup("--detach", f"/dev/{name}")


def loops() -> Iterator[tuple[str, str]]:
    """Returns name and file of each loop device in use; the kernel writes ` (deleted)` after a file that is gone."""
    for told in BLOCK.glob("loop*/loop/backing_file"):
        with suppress(OSError):  # it ended meanwhile
            yield told.parts[-3], told.read_text().rstrip("\n")


def _closing(loop: str) -> bool:
    """Whether a loop device ends with its last user."""
    try:
        return (BLOCK / loop / "loop/autoclear").read_text().strip() == "1"
    except FileNotFoundError:
        return True


def _number(loop: str) -> str:
    """Returns major and minor number of the device, such as `7:3`."""
    return (BLOCK / loop / "dev").read_text().strip()


def _places(root: Path, loop: str) -> tuple[Path, Path, Path]:
    """Returns udev's record, its mark for systemd, and the device's node."""
    udev, name = root / "run/udev", f"b{_number(loop)}"
    return udev / "data" / name, udev / "tags/systemd" / name, root / "dev" / loop


def _losetup(*arguments: str) -> str:
    done = subprocess.run(["losetup", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"losetup {' '.join(arguments)}: {done.stderr.strip()}: hosts need loop devices for their volumes")
    return done.stdout.strip()
