"""The version of the API server that answers."""

from __future__ import annotations

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Get


def probe() -> Probe[str]:
    """Version of the API server that answers, e.g. "v1.36.3"."""
    return Probe("api_version", Get("/version"), lambda answer: str(answer["gitVersion"]))
