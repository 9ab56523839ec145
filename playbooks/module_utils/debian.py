"""Debian's packages: what is pending, what stands in the way, and whether a restart is due."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

ATTEMPTS = 6
#: Seconds after which what is no lock is not tried again: apt itself waits long for an archive that does not answer.
PATIENCE = 60
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/cache/apt/archives/lock")
ARCHIVES, BOOT = Path("/var/cache/apt/archives"), Path("/boot")
MIB = 2**20
#: Bytes that stay free beside what the updates take: dpkg keeps the old files until the new ones are there.
SPARE = 50 * MIB
#: Bytes in /boot of one more kernel: image and initrd of Debian's cloud kernel are about 40 MiB, the generic ones 100.
KERNEL = 100 * MIB


class Unavailable(Exception):
    """One line: why the package lists cannot be read."""


def refresh() -> None:
    """Fetches the package lists. Tries again: another process may hold them, an archive may be away for a moment."""
    end = time.monotonic() + PATIENCE
    for attempt in range(1, ATTEMPTS + 1):
        # Errors, not warnings, where an archive does not answer: old lists would show no updates.
        argv = ["apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if attempt == ATTEMPTS or ("lock" not in done.stderr and time.monotonic() > end):
            raise Unavailable(f"apt-get update: {done.stderr.strip()}")
        time.sleep(5)


def packages() -> Any:
    """Returns apt's view of all packages, without any mark."""
    import apt

    return apt.Cache()


def pending() -> list[dict[str, Any]]:
    """Returns one entry a package that has a newer version: `package`, `installed` and `candidate` versions.

    `security`: it comes from the security archive. `held`: an administrator keeps the package back (apt-mark hold).
    """
    import apt_pkg

    return [
        {
            "package": package.shortname,
            "installed": package.installed.version,
            "candidate": package.candidate.version,
            "security": any(origin.label == "Debian-Security" for origin in package.candidate.origins),
            "held": package._pkg.selected_state == apt_pkg.SELSTATE_HOLD,
        }
        for package in packages()
        if package.is_upgradable
    ]


def plan(cache: Any, updates: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the updates that apt can install, marked in its `cache`, and those that a held package keeps back."""
    taken: list[dict[str, Any]] = []
    kept = [each for each in updates if each["held"]]
    for each in updates:
        if each["held"]:
            continue
        cache[each["package"]].mark_upgrade()
        if cache.broken_count or not cache[each["package"]].marked_upgrade:
            kept.append(each)
            cache.clear()
            for other in taken:
                cache[other["package"]].mark_upgrade()
        else:
            taken.append(each)
    return taken, kept


def shortage(cache: Any) -> list[str]:
    """Returns a line for each file system that has no room for what is marked in apt's `cache`."""
    kernels = sum(package.name.startswith("linux-image-") for package in cache.get_changes())
    needs = ((ARCHIVES, cache.required_download), (Path("/"), cache.required_space), (BOOT, kernels * KERNEL))
    disks: dict[int, tuple[Path, int]] = {}
    for path, need in needs:
        if need > 0 and path.is_dir():
            first, before = disks.get(path.stat().st_dev, (path, SPARE))
            disks[path.stat().st_dev] = (first, before + need)
    lines = []
    for path, need in disks.values():
        seen = os.statvfs(path)
        if (free := seen.f_bavail * seen.f_frsize) < need:
            lines.append(f"{path} has {free // MIB} MiB free, the updates need {need // MIB + 1} MiB")
    return lines


def holder() -> str:
    """Returns the process that holds a lock of dpkg or apt, e.g. "apt-get upgrade (process 12)"; "" where none does."""
    form = "hhqqi"  # struct flock of Linux: type, whence, start, length, pid
    for lock in LOCKS:
        try:
            with Path(lock).open("rb") as file:
                asked = struct.pack(form, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind, *_, pid = struct.unpack(form, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        except OSError:
            continue
        if kind != fcntl.F_UNLCK:
            try:
                called = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
            except OSError:
                called = ""
            return f"{called[:80] or 'a process'} (process {pid})"
    return ""


def unfinished() -> list[str]:
    """Returns packages that an interrupted dpkg left half installed; "dpkg" where only its journal is not empty."""
    argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    broken = {"half-installed", "unpacked", "half-configured", "triggers-awaiting", "triggers-pending"}
    found = sorted({line.split()[1] for line in shown if line.split()[0] in broken})
    journal = Path("/var/lib/dpkg/updates")
    return found or (["dpkg"] if journal.is_dir() and any(journal.iterdir()) else [])


def reboot_reasons() -> list[str]:
    """Returns why the machine should be rebooted: a package asked for it, or processes run with replaced libraries.

    Processes of pods do not count: their libraries are those of their images.
    """
    found = ["a package asks for it"] if Path("/run/reboot-required").exists() else []
    # Another flavour of the same kernel is no newer one: a restart would not choose it.
    if numbers(newest := newest_kernel()) > numbers(platform.release()):
        found.append(f"kernel {newest} is installed, {platform.release()} runs")
    return found + sorted(f"{name} runs with replaced libraries" for name in stale_processes())


def newest_kernel() -> str:
    """Returns the release of the newest kernel in /boot; "" where there is none, as in a container."""
    found = [file.name.removeprefix("vmlinuz-") for file in BOOT.glob("vmlinuz-*")]
    return max(found, key=numbers, default="")


def numbers(release: str) -> list[int]:
    """Returns the numbers of a kernel's release, by which releases are in order."""
    return [int(part) for part in re.findall(r"\d+", release)]


def stale_processes() -> set[str]:
    """Returns the names of the processes of this machine, not of its pods, that map libraries which are deleted."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "kubepods" in (folder / "cgroup").read_text():
                continue
            if re.search(r"/lib/\S+\.so\S* \(deleted\)$", (folder / "maps").read_text(), re.MULTILINE):
                found.add((folder / "comm").read_text().strip())
        except OSError:
            continue  # it ended meanwhile
    return found
