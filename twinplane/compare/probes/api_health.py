"""The API server's own checks."""

from __future__ import annotations

import re

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


def probe() -> Probe[dict[str, bool]]:
    """The API server's own checks, by name; `etcd` is one of them. Answered with any status."""
    return Probe("api_health", Get("/readyz?verbose", text=True), _checks)


def _checks(answer: str) -> dict[str, bool]:
    return {name: sign == "+" for sign, name in re.findall(r"^\[([+-])\](\S+)", answer, re.MULTILINE)}
