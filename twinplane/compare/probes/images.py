"""The names of machine images."""

from __future__ import annotations

from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call


def probe(ids: tuple[str, ...]) -> Probe[dict[str, str]]:
    """Names of machine images: AWS and Debian put the release there."""
    return Probe("images", Call("ec2", "describe_images", {"ImageIds": list(ids)}), _images)


def _images(answer: dict[str, Any]) -> dict[str, str]:
    return {each["ImageId"]: each["Name"] for each in answer["Images"]}
