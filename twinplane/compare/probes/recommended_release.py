"""The newest release of the EKS node image."""

from __future__ import annotations

from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call

#: amiType of a node group -> the folder of its public SSM parameters (EKS user guide, "Retrieve recommended AMI IDs").
IMAGE_FOLDERS = {
    "AL2023_x86_64_STANDARD": "amazon-linux-2023/x86_64/standard",
    "AL2023_ARM_64_STANDARD": "amazon-linux-2023/arm64/standard",
}


def probe(version: str, ami_type: str) -> Probe[str]:
    """The newest release of the EKS node image for a minor version, as AWS publishes it."""
    folder = IMAGE_FOLDERS.get(ami_type, IMAGE_FOLDERS["AL2023_x86_64_STANDARD"])
    minor = ".".join(version.split(".")[:2])
    name = f"/aws/service/eks/optimized-ami/{minor}/{folder}/recommended/release_version"
    return Probe("recommended_release", Call("ssm", "get_parameter", {"Name": name}), _value)


def _value(answer: dict[str, Any]) -> str:
    return str(answer["Parameter"]["Value"])
