"""The lab as a whole: made ready, brought up, told about, and removed without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import constants, stack_files, supervisor, toolchain
from lab.aws import api
from lab.hosts import apt_proxy, image, kernel, network, packages
from lab.hosts.host import Host
from twinplane.errors import Failed, UsageError

Progress = Callable[[str], None]


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
            image.ensure(constants.BASE_RELEASE, progress)
            image.ensure(constants.UPDATED_RELEASE, progress)
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
    api.check_port()
    prepare(progress)
    constants.STATE.mkdir(parents=True, exist_ok=True, mode=0o700)
    kernel.up()
    network.up()
    apt_proxy.up()
    api.up(progress)
    progress("lab: up")


def down(progress: Progress) -> None:
    """Removes every host, process, mount, link, route, cgroup and file of the lab; the cache of tools and images stays.

    Works from whatever is left, also after everything was killed. Raises UsageError when not root, Failed for what
    does not go away.
    """
    _root()
    api.down()
    hosts = list(Host.all())
    for number, host in enumerate(hosts, 1):
        progress(f"host {number}/{len(hosts)} {host.name}: removing")
        host.delete()
    apt_proxy.down()
    for pid_file in (constants.STATE / "run").glob("*.pid"):
        supervisor.stop(pid_file.stem)
    network.down()
    kernel.down()
    for mount in reversed(mounts()):
        subprocess.run(["umount", "--lazy", str(mount)], check=False)
    if left := mounts():
        raise Failed(f"{left[0]} is still mounted: unmount it, then run `twinplane lab down` again")
    stack_files.reset()
    if constants.STATE.exists():
        shutil.rmtree(constants.STATE)
    progress("lab: down")


def status() -> dict[str, Any]:
    """-> `running`, `ready`, the parts of the daemon, and name, address and state of each host."""
    health = api.health()
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
    """-> what is mounted below STATE, in the order in which it was."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    paths = (Path(line.split()[4].encode().decode("unicode_escape")) for line in lines)
    return [path for path in paths if path.is_relative_to(constants.STATE)]


def _root() -> None:
    if os.geteuid() != 0:
        raise UsageError("the lab boots machines: run this as root")
