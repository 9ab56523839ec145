"""The EC2 instances of the account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call


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


def probe() -> Probe[tuple[Instance, ...]]:
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
