"""Volumes as files, loop devices, and what a guest finds of them."""

import os
import stat
from pathlib import Path

import pytest

from lab.machines import boot, host, volume
from lab.machines.host import Host
from lab.machines.volume import GIB, Volume
from tests.loop_devices import LoopDevices

ID = "vol-0123456789abcdef0"
LINK = "dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def kernel(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> LoopDevices:
    monkeypatch.setattr(host, "STATE", state)
    return LoopDevices(tmp_path, state, monkeypatch)


def test_a_volume_is_a_sparse_file_that_grows(kernel: LoopDevices) -> None:
    made = Volume(ID)
    made.make(2)
    assert (made.file.stat().st_size, made.file.stat().st_blocks) == (2 * GIB, 0)
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert made.open() == made.open() == "loop0"
    made.make(1)
    made.make(2)
    assert kernel.calls == [("--find", "--show", str(made.file))]
    made.make(3)
    assert made.file.stat().st_size == 3 * GIB
    assert kernel.calls[1:] == [("--set-capacity", "/dev/loop0")]
    made.delete()
    made.delete()
    assert (Volume.all(), kernel.used()) == ([], {})


def test_one_that_is_mounted_is_opened_again_when_it_no_longer_is(kernel: LoopDevices) -> None:
    made = Volume(ID)
    made.make(1)
    made.open()
    kernel.mounted.add("loop0")
    made.close()
    made.close()
    assert made.open() is None
    assert len(kernel.calls) == 2
    kernel.unmount("loop0")
    assert made.open() == "loop0"


def test_a_guest_finds_what_udev_makes(kernel: LoopDevices, tmp_path: Path) -> None:
    made, root = Volume(ID), tmp_path / "root"
    kernel.use("loop0", "/of/another")
    made.make(1)
    made.show(root, made.open() or "")
    made.show(root, "loop1")
    assert (root / LINK).resolve() == root / "dev/loop1"
    mode, device = kernel.nodes[root / "dev/loop1"]
    assert (stat.S_ISBLK(mode), os.major(device), os.minor(device)) == (True, 7, 1)
    record = (root / "run/udev/data/b7:1").read_text().splitlines()
    assert {"E:ID_SERIAL_SHORT=vol0123456789abcdef0", f"S:{LINK.removeprefix('dev/')}", "G:systemd"} <= set(record)
    assert (root / "run/udev/tags/systemd/b7:1").exists()
    made.hide(root)
    made.hide(root)
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


def test_only_devices_of_deleted_volumes_are_swept(kernel: LoopDevices, state: Path) -> None:
    made = Volume(ID)
    made.make(1)
    made.open()
    kernel.use("loop1", "/elsewhere/volumes/vol-1 (deleted)")
    kernel.use("loop2", f"{state}/volumes/vol-2 (deleted)")
    volume.sweep()
    volume.sweep()
    assert kernel.used() == {"loop0": str(made.file), "loop1": "/elsewhere/volumes/vol-1 (deleted)"}


def test_a_host_has_its_disks_at_each_boot_and_at_once_where_it_runs(
    kernel: LoopDevices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").mkdir()
    machine = Host.create("i-1", address="198.18.64.4", image=tmp_path / "image", hostname="h")
    made = Volume(ID)
    made.make(1)
    machine.plug(made)
    machine.plug(made)
    assert ([each.id for each in machine.disks], kernel.used()) == ([ID], {})
    monkeypatch.setattr(boot, "DISKS", tmp_path / "disks")
    assert boot._show(machine) == ["/dev/loop0", "/dev/disk", "/run/udev"]
    assert (tmp_path / "disks" / LINK).is_symlink()
    assert f"--bind={tmp_path}/disks/dev/loop0:/dev/loop0" in boot.command(machine, ["/dev/loop0"])

    shown: list[tuple[str, Path]] = []
    monkeypatch.setattr(Host, "state", "running")
    monkeypatch.setattr(Host, "leader", 4242)
    monkeypatch.setattr(Volume, "show", lambda _, root, loop: shown.append((loop, root)))
    monkeypatch.setattr(Volume, "hide", lambda _, root: shown.append(("", root)))
    machine.plug(made)
    monkeypatch.setattr(Host, "state", "booting")
    machine.unplug(made)
    assert [each.id for each in machine.disks] == [ID], "it may have seen it"
    monkeypatch.setattr(Host, "state", "running")
    machine.unplug(made)
    machine.unplug(made)
    assert shown == [("loop0", Path("/proc/4242/root")), *[("", Path("/proc/4242/root"))] * 2]
    assert (machine.disks, kernel.used()) == ([], {})
    assert boot._show(machine) == []
