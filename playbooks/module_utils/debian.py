"""Debian's package lists, read by its own library."""

from __future__ import annotations

import subprocess
import time
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
    """-> one entry a package: `package`, `installed`, `candidate` versions, `security`: from the security archive."""
    import apt

    return [
        {
            "package": package.shortname,
            "installed": package.installed.version,
            "candidate": package.candidate.version,
            "security": any(origin.label == "Debian-Security" for origin in package.candidate.origins),
        }
        for package in apt.Cache()
        if package.is_upgradable
    ]
