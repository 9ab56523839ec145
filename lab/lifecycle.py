"""The lab as a whole: made ready, brought up, told about, and removed without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import constants, daemon_control, stack_files, supervisor, toolchain
from lab.errors import Failed, UsageError
from lab.machines import apt_proxy, host_image, kernel, names, network, packages, volume
from lab.machines.host import Host

Progress = Callable[[str], None]

#: Between name and process id in the name of a pid file that was lost and made anew.
STRAY = ".stray-"


def prepare(progress: Progress) -> None:
    """Gets what the lab needs into the cache: Debian packages, tools, host images. At once when all is there.

    Builds tools (which need every core) beside the images (which wait for the network). Raises UsageError when not
    root or when the disk is too full, Failed when a build fails.
    """
    _root()
    packages.install()
    failures: list[Exception] = []

    def images() -> None:
        try:
            host_image.ensure(constants.BASE_RELEASE, progress)
            host_image.ensure(constants.UPDATED_RELEASE, progress)
        except (UsageError, Failed) as error:
            failures.append(error)

    beside = threading.Thread(target=images, name="images")
    beside.start()
    try:
        toolchain.ensure(progress)
    finally:
        beside.join()
    if failures:
        raise failures[0]


def up(progress: Progress) -> None:
    """Prepares and starts the lab; at once when it runs. Hosts that ran before the machine went down boot again.

    Raises UsageError when not root, the port is taken or the disk too full; Failed when a part does not start.
    """
    _root()
    daemon_control.check_port()
    stack_files.adopt()
    prepare(progress)
    constants.STATE.mkdir(parents=True, exist_ok=True, mode=0o700)
    volume.sweep()
    kernel.up()
    network.up()
    apt_proxy.up()
    daemon_control.up(progress)
    progress("lab: up")


def down(progress: Progress) -> None:
    """Removes every host, process, mount, disk, link, route, cgroup and file of the lab; tools and images stay cached.

    Works from whatever is left, also after everything was killed. Raises UsageError when not root, Failed for what
    does not go away.
    """
    _root()
    _take_in_strays()
    daemon_control.down()
    for stray in (constants.STATE / "run").glob(f"daemon{STRAY}*.pid"):  # It would make the hosts anew.
        supervisor.stop(stray.stem)
    hosts = list(Host.all())
    for number, host in enumerate(hosts, 1):
        progress(f"host {number}/{len(hosts)} {host.name}: removing")
        host.delete()
    for host in Host.remains():
        host.delete()
    apt_proxy.down()
    for pid_file in (constants.STATE / "run").glob("*.pid"):
        supervisor.stop(pid_file.stem)
        if pid_file.stem.startswith("host-"):  # One whose files are gone.
            Host(pid_file.stem.removeprefix("host-").partition(STRAY)[0]).delete()
    shutil.rmtree(volume.folder(), ignore_errors=True)
    volume.sweep()
    network.down()
    names.tell({})
    kernel.down()
    for mount in reversed(mounts()):
        subprocess.run(["umount", "--lazy", str(mount)], check=False)
    if left := mounts():
        raise Failed(f"{left[0]} is still mounted: unmount it, then run `twinplane lab down` again")
    stack_files.reset()
    if constants.STATE.is_mount():  # Someone's disk: emptied, not taken away.
        for path in constants.STATE.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    elif constants.STATE.exists():
        shutil.rmtree(constants.STATE)
    progress("lab: down")


def _take_in_strays() -> None:
    """Gives a pid file to each supervisor that has lost its own, as when STATE was deleted under a running lab."""
    known = {supervisor.Record.read(path.stem).supervisor for path in (constants.STATE / "run").glob("*.pid")}
    for directory in Path("/proc").glob("[0-9]*"):
        process = supervisor.Process.of(int(directory.name))
        try:
            argv = (directory / "cmdline").read_text(errors="replace").split("\0")
            children = (directory / "task" / directory.name / "children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if process and process not in known and argv[1:3] == ["-m", "lab.supervisor"]:
            child = supervisor.Process.of(int(children[0])) if children else None
            supervisor.Record(process, child).write(f"{argv[3]}{STRAY}{process.pid}")


def status() -> dict[str, Any]:
    """Returns `running`, `ready`, the parts of the daemon, and name, address and state of each host."""
    health = daemon_control.health()
    return {
        "running": supervisor.alive("daemon") or health is not None,
        "ready": bool(health and health["ready"]),
        "parts": health["parts"] if health else {},
        "endpoint": constants.API_URL,
        "hosts": [
            {"name": host.name, "address": str(host.spec.address), "state": host.state}
            for host in (Host.all() if constants.STATE.exists() else ())
        ],
    }


def mounts() -> list[Path]:
    """Returns what is mounted below STATE, in the order in which it was. STATE itself may be a file system of its
    own."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    paths = (Path(line.split()[4].encode().decode("unicode_escape")) for line in lines)
    return [path for path in paths if constants.STATE in path.parents]


def _root() -> None:
    if os.geteuid() != 0:
        raise UsageError("the lab boots machines: run this as root")
