"""Debian's package lists, read by its own library."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

ATTEMPTS = 6
#: Seconds after which what is no lock is not tried again: apt itself waits long for an archive that does not answer.
PATIENCE = 60


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


def pending() -> list[dict[str, Any]]:
    """Returns one entry a package that has a newer version: `package`, `installed` and `candidate` versions.

    `security`: it comes from the security archive. `held`: an administrator keeps the package back (apt-mark hold).
    """
    import apt
    import apt_pkg

    return [
        {
            "package": package.shortname,
            "installed": package.installed.version,
            "candidate": package.candidate.version,
            "security": any(origin.label == "Debian-Security" for origin in package.candidate.origins),
            "held": package._pkg.selected_state == apt_pkg.SELSTATE_HOLD,
        }
        for package in apt.Cache()
        if package.is_upgradable
    ]


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
    return found + sorted(f"{name} runs with replaced libraries" for name in stale_processes())


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
