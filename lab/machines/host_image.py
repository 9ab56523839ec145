"""Images of hosts: Debian 12 by debootstrap with what a node needs, and the same with all security updates.

CACHE/images/debian-12-<release>-<hash of the recipe> is a root file system, or for the updated release an overlay
layer above the base. It appears by one rename when complete; what an interrupted build left is thrown away by the next.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.constants import BASE_RELEASE, CACHE, FABRIC, STATE, UPDATED_RELEASE
from lab.errors import Failed, UsageError
from lab.machines import apt_proxy, network, packages

IMAGES = CACHE / "images"
#: Files that every host has, copied over the root file system.
ROOTFS = Path(__file__).with_name("rootfs")
#: Free bytes that a build asks for: twice the 600 MB that base and layer take, and their packages.
SPACE = 3 * 1024**3

#: Debian's names. python3-cffi-backend: debootstrap does not follow the virtual package that cryptography asks for.
INCLUDE = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "cloud-init", "python3", "python3-apt", "python3-cffi-backend",
    "runc", "containernetworking-plugins", "iproute2", "iptables", "nftables", "ethtool", "socat", "conntrack",
    "python3-boto3", "ca-certificates", "sudo", "kmod", "procps", "iputils-ping", "curl", "gnupg",
)  # fmt: skip
#: Units with nothing to do here, that would change the machine (udev, random seed), or race with a playbook (apt).
MASK = (
    "apt-daily-upgrade.timer", "apt-daily.timer", "cloud-config.service", "cloud-init-hotplugd.service",
    "cloud-init-hotplugd.socket", "cloud-init-local.service", "console-getty.service", "dev-hugepages.mount",
    "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "getty.target",
    "getty@.service", "logrotate.timer", "modprobe@.service", "networking.service",
    "proc-sys-fs-binfmt_misc.automount", "remote-fs.target", "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "systemd-binfmt.service",
    "systemd-hwdb-update.service", "systemd-journal-catalog-update.service", "systemd-modules-load.service",
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-pstore.service", "systemd-random-seed.service",
    "systemd-remount-fs.service", "systemd-timesyncd.service", "systemd-udev-trigger.service",
    "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udevd.service",
)  # fmt: skip
ENABLE = ("lab-cgroups.service", "lab-ready.service")
#: Kernel settings of the distribution that are the machine's, not a host's.
SYSCTL = ("50-default.conf", "50-pid-max.conf", "99-protect-links.conf")

RESOLV_CONF = f"search ec2.internal\nnameserver {FABRIC}\n"
SOURCES = f"""\
deb {apt_proxy.URL}/debian bookworm main
deb {apt_proxy.URL}/debian bookworm-updates main
deb {apt_proxy.URL}/debian-security bookworm-security main
"""

#: A namespace of its own for mounts and processes: both end with the build, and the build with this process.
ISOLATED = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--propagation",
    "private",
)
#: $1 directory, $2 mirror, $3 packages.
DEBOOTSTRAP = 'exec debootstrap --variant=minbase --include="$3" bookworm "$1" "$2"'
#: $1 lower, $2 upper, $3 work, $4 mount point.
UPGRADE = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount -t proc proc "$4/proc"
printf '#!/bin/sh\\nexit 101\\n' > "$4/usr/sbin/policy-rc.d"; chmod 755 "$4/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$4" apt-get --quiet update
chroot "$4" apt-get --quiet --yes -o Dpkg::Options::=--force-confold dist-upgrade
chroot "$4" apt-get clean
rm -rf "$4/usr/sbin/policy-rc.d" "$4"/var/lib/apt/lists/*
"""


def ensure(release: str, progress: Callable[[str], None] = print) -> Path:
    """The image of a release, built if it is not there (about 90 s for the base, 40 s more for the updated one).

    Raises UsageError for an unknown release, a full disk or missing root rights, Failed when the build fails.
    """
    if release not in (BASE_RELEASE, UPDATED_RELEASE):
        raise UsageError(f"no image release {release}: there are {BASE_RELEASE} and {UPDATED_RELEASE}")
    image = path(release)
    if image.exists():
        return image
    if os.geteuid() != 0:
        raise UsageError("building a host image needs root")
    base = ensure(BASE_RELEASE, progress) if release == UPDATED_RELEASE else None
    with _alone():
        if image.exists():
            return image
        _check_space()
        packages.install()
        network.up()
        apt_proxy.up()
        progress(f"image debian-12 {release}: building")
        partial = IMAGES / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        (root := partial / "root").mkdir(parents=True)
        if base:
            for name in ("work", "merged"):
                (partial / name).mkdir()
            _run(UPGRADE, str(base), str(root), str(partial / "work"), str(partial / "merged"))
        else:
            _run(DEBOOTSTRAP, str(root), f"{apt_proxy.URL}/debian", ",".join(INCLUDE))
        _finish(root, release)
        root.rename(image)
        shutil.rmtree(partial)
        _prune()
        progress(f"image debian-12 {release}: ready")
    return image


def layers(release: str) -> list[Path]:
    """The directories of a release's image as overlayfs wants them, topmost first. Built if missing."""
    top = ensure(release)
    return [top] if release == BASE_RELEASE else [top, ensure(BASE_RELEASE)]


def path(release: str) -> Path:
    """Where the image of a release lies or will lie; another recipe means another place."""
    return IMAGES / f"debian-12-{release}-{recipe()}"


def recipe() -> str:
    """12 hex digits that change with anything that goes into an image, except the packages' versions."""
    parts = [repr((INCLUDE, MASK, ENABLE, SYSCTL, RESOLV_CONF, SOURCES, DEBOOTSTRAP, UPGRADE)).encode()]
    for file in sorted(ROOTFS.rglob("*")):
        if file.is_file():
            parts += [str(file.relative_to(ROOTFS)).encode(), file.read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _prune() -> None:
    """Removes images of other recipes that no host lies on. The machine keeps two, not one for each change."""
    used = "".join(spec.read_text() for spec in (STATE / "hosts").glob("*/spec.json"))
    for old in IMAGES.glob("debian-12-*"):
        if not old.name.endswith(recipe()) and str(old) not in used:
            shutil.rmtree(old, ignore_errors=True)


def _finish(root: Path, release: str) -> None:
    """Makes the tree an image: the lab's files and units, nothing that must differ between hosts."""
    units = root / "etc/systemd/system"
    units.mkdir(parents=True, exist_ok=True)
    if release == BASE_RELEASE:
        shutil.copytree(ROOTFS, root, dirs_exist_ok=True)
        for unit in MASK:
            _link(units / unit, "/dev/null")
        for unit in ENABLE:
            target = "sysinit.target" if unit == "lab-cgroups.service" else "multi-user.target"
            _link(units / f"{target}.wants" / unit, f"/etc/systemd/system/{unit}")
        for name in SYSCTL:
            _link(root / "etc/sysctl.d" / name, "/dev/null")
        (root / "etc/apt/sources.list").write_text(SOURCES)
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").write_text(RESOLV_CONF)
        shutil.rmtree(root / "debootstrap", ignore_errors=True)
    (root / "etc/cloud").mkdir(parents=True, exist_ok=True)
    (root / "etc/cloud/build.info").write_text(f"build_name: debian-12\nserial: {release}\n")
    (root / "etc/machine-id").write_text("")
    for pattern in (
        "etc/ssh/ssh_host_*",
        "var/cache/apt/archives/*.deb",
        "var/cache/apt/*.bin",
        "var/lib/apt/lists/*_*",
    ):
        for file in root.glob(pattern):
            file.unlink()


def _link(link: Path, target: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _run(script: str, *arguments: str) -> None:
    log = STATE / "log" / "image.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        command = [*ISOLATED, "sh", "-euc", script, "sh", *arguments]
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False).returncode
    if code:
        last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise Failed(f"the image build ended with {code}: {last} (whole log: {log})")


def _check_space() -> None:
    free = shutil.disk_usage(IMAGES).free
    if free < SPACE:
        raise UsageError(f"{IMAGES} has {free / 2**30:.1f} GiB free, a host image needs {SPACE / 2**30:.0f}: make room")


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time on the machine; the lock ends with its holder."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (IMAGES / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
