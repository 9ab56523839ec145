"""What AWS tells the caller's account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call

#: amiType of a node group -> the folder of its public SSM parameters (EKS user guide, "Retrieve recommended AMI IDs").
IMAGE_FOLDERS = {
    "AL2023_x86_64_STANDARD": "amazon-linux-2023/x86_64/standard",
    "AL2023_ARM_64_STANDARD": "amazon-linux-2023/arm64/standard",
}


@dataclass(frozen=True)
class EksCluster:
    """A cluster that EKS says it runs."""

    name: str
    status: str
    version: str
    platform_version: str
    endpoint: str
    #: STANDARD or EXTENDED support after the version's first 14 months.
    support: str
    #: EKS Auto Mode: nodes come when pods wait, and CoreDNS runs on them outside the cluster's sight.
    auto_mode: bool


def eks_cluster(name: str) -> Probe[EksCluster]:
    """Does EKS run a cluster of this name in the account? Asked of both kinds."""
    return Probe("eks_cluster", Call("eks", "describe_cluster", {"name": name}), _eks_cluster)


def _eks_cluster(answer: dict[str, Any]) -> EksCluster:
    found = answer["cluster"]
    return EksCluster(
        name=found["name"],
        status=found["status"],
        version=found["version"],
        platform_version=found.get("platformVersion", ""),
        endpoint=found.get("endpoint", ""),
        support=found.get("upgradePolicy", {}).get("supportType", ""),
        auto_mode=bool((found.get("computeConfig") or {}).get("enabled")),
    )


@dataclass(frozen=True)
class NodeGroup:
    """An EKS node group. `release_version` is that of its image, e.g. "1.36.3-20260901"."""

    name: str
    status: str
    version: str
    release_version: str
    ami_type: str


def node_group(cluster: str, name: str) -> Probe[NodeGroup]:
    """One node group of an EKS cluster."""
    call = Call("eks", "describe_nodegroup", {"clusterName": cluster, "nodegroupName": name})
    return Probe("node_group", call, _node_group)


def _node_group(answer: dict[str, Any]) -> NodeGroup:
    found = answer["nodegroup"]
    return NodeGroup(
        name=found["nodegroupName"],
        status=found["status"],
        version=found.get("version", ""),
        release_version=found.get("releaseVersion", ""),
        ami_type=found.get("amiType", ""),
    )


def recommended_release(version: str, ami_type: str) -> Probe[str]:
    """The newest release of the EKS node image for a minor version, as AWS publishes it."""
    folder = IMAGE_FOLDERS.get(ami_type, IMAGE_FOLDERS["AL2023_x86_64_STANDARD"])
    minor = ".".join(version.split(".")[:2])
    name = f"/aws/service/eks/optimized-ami/{minor}/{folder}/recommended/release_version"
    return Probe("recommended_release", Call("ssm", "get_parameter", {"Name": name}), _value)


def _value(answer: dict[str, Any]) -> str:
    return str(answer["Parameter"]["Value"])


@dataclass(frozen=True)
class Instance:
    """An EC2 instance of the caller's account."""

    id: str
    address: str
    state: str
    type: str
    image_id: str
    #: Last start; a reboot from inside does not change it.
    launched: datetime
    #: Name of its key pair; "" means that nobody was given a key.
    key_name: str


def instances() -> Probe[tuple[Instance, ...]]:
    """Every instance of the account and region that still exists."""
    states = ["pending", "running", "stopping", "stopped"]
    call = Call("ec2", "describe_instances", {"Filters": [{"Name": "instance-state-name", "Values": states}]})
    return Probe("instances", call, _instances)


def _instances(answer: dict[str, Any]) -> tuple[Instance, ...]:
    every = (each for reservation in answer["Reservations"] for each in reservation["Instances"])
    return tuple(
        Instance(
            id=each["InstanceId"],
            address=each.get("PrivateIpAddress", ""),
            state=each["State"]["Name"],
            type=each["InstanceType"],
            image_id=each["ImageId"],
            launched=_time(each["LaunchTime"]),
            key_name=each.get("KeyName", ""),
        )
        for each in every
    )


def _time(value: datetime | str) -> datetime:
    """boto3 gives times, the test files text."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return time.astimezone(UTC)


def images(ids: tuple[str, ...]) -> Probe[dict[str, str]]:
    """Names of machine images: AWS and Debian put the release there."""
    return Probe("images", Call("ec2", "describe_images", {"ImageIds": list(ids)}), _images)


def _images(answer: dict[str, Any]) -> dict[str, str]:
    return {each["ImageId"]: each["Name"] for each in answer["Images"]}
