"""The Debian packages that the machine needs for hosts, installed without any daemon of theirs starting."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.errors import Failed, UsageError

#: Command that must be there -> package that brings it.
COMMANDS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "apt-cacher-ng": "apt-cacher-ng",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "losetup": "mount",
    # Contents of container images: lab/container_images.py.
    "catatonit": "catatonit",
    "nft": "nftables",
    "xtables-nft-multi": "iptables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    # A tool that is partly C: lab/toolchain/runc.
    "gcc": "gcc",
    "pkg-config": "pkg-config",
}
#: The same of files that lab/toolchain/runc, which is partly C, is built with.
HEADERS = {"/usr/include/stdio.h": "libc6-dev", "/usr/include/seccomp.h": "libseccomp-dev"}
#: invoke-rc.d asks this file whether it may start a service; 101 means no.
POLICY = Path("/usr/sbin/policy-rc.d")
#: A unit linked below is neither enabled nor started when its package is installed, nor at the machine's next boot.
UNITS = Path("/etc/systemd/system")
#: Packages with a daemon that only the lab is to start.
DAEMONS = ("apt-cacher-ng", "haproxy")


def missing() -> list[str]:
    """Packages still to be installed, sorted. `/usr/sbin` counts even when PATH lacks it."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    commands = {package for command, package in COMMANDS.items() if not shutil.which(command, path=path)}
    return sorted(commands | {package for header, package in HEADERS.items() if not Path(header).exists()})


def install() -> None:
    """Installs what is missing, with `apt-get update` when no package list is there. Idempotent; needs root."""
    packages = missing()
    if not packages:
        return
    if os.geteuid() != 0:
        raise UsageError(f"packages missing: {' '.join(packages)}; run as root, or install them with apt-get")
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        _apt("update")
    with _no_services(packages):
        try:
            _apt("install", "--yes", "--no-install-recommends", *packages)
        except Failed:  # A list older than the mirror names files that are gone.
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *packages)


@contextmanager
def _no_services(packages: list[str]) -> Iterator[None]:
    for unit in (UNITS / f"{name}.service" for name in DAEMONS if name in packages):
        if not unit.exists() and not unit.is_symlink():
            unit.parent.mkdir(parents=True, exist_ok=True)
            unit.symlink_to("/dev/null")
    ours = False
    with suppress(FileExistsError), POLICY.open("x") as file:
        ours = True
        os.fchmod(file.fileno(), 0o755)
        file.write("#!/bin/sh\nexit 101\n")
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Failed(f"apt-get {' '.join(arguments)} failed: {last}")
