"""EC2 instances as hosts: what the API says is asked for, what the hosts say is told.

moto keeps what callers want (`running`, `stopped`, `terminated`). `State` shows callers where the host really is on its
way there. The EKS stand-in launches its nodes here, too.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.cloud import api, replay
from lab.cloud.ec2 import machine_images
from lab.constants import ACCOUNT, REGION

#: AWS's codes of the states an instance can be in.
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclass(frozen=True)
class Machine:
    """One instance, as far as its host must know."""

    id: str
    wanted: str  # running | stopped | terminated
    state: str  # one of CODES, what DescribeInstances says
    release: str  # of the host image, such as constants.BASE_RELEASE; "" for an image that no host can boot
    address: str  # private IPv4 address
    hostname: str  # such as ip-198-18-0-10.ec2.internal
    zone: str  # such as us-east-1a
    subnet_id: str
    instance_type: str
    user_data: bytes
    authorized_keys: tuple[str, ...]
    tags: Mapping[str, str]
    token: str  # the client token of its launch, "" for none


@dataclass(frozen=True)
class Bootstrap:
    """What turns a plain host into something else: given before its first boot. Arguments as of `lab.machines.host`."""

    files: Mapping[str, tuple[bytes, int]]  # path -> contents, mode
    binds: Mapping[str, str]  # path on this machine -> path in the host, read-only
    ssh: bool = False


class State:
    """Takes the place of moto's InstanceState: assigned what is wanted, it reads as what is true."""

    def __init__(self, name: str = "pending", code: int = 0) -> None:
        del code
        self.wanted = name
        self.host = "absent"  # as lab.machines.host tells: absent | stopped | booting | running
        self.arrived = False  # once running, an instance stays so through reboots

    def observe(self, host: str) -> None:
        """Takes in the state of the host."""
        self.host = host
        self.arrived = self.wanted == "running" and (self.arrived or host == "running")

    @property
    def name(self) -> str:
        """Returns one of CODES."""
        if replay.replaying():
            return self.wanted
        if self.wanted == "terminated":
            return "terminated" if self.host == "absent" else "shutting-down"
        if self.wanted == "stopped":
            return "stopped" if self.host in {"absent", "stopped"} else "stopping"
        return "running" if self.arrived else "pending"

    @name.setter
    def name(self, wanted: str) -> None:
        from moto.ec2.exceptions import EC2ClientError

        if self.wanted == "terminated" != wanted:
            raise EC2ClientError(
                "IncorrectInstanceState", "The instance is terminated: it cannot be started or stopped."
            )
        if wanted == "stopped":
            self.arrived = False
        self.wanted = wanted

    @property
    def code(self) -> int:
        """Returns the code of the name."""
        return CODES[self.name]

    @code.setter
    def code(self, code: int) -> None:
        """moto sets it beside the name, from which it follows."""


def launch(
    *,
    release: str,
    subnet_id: str,
    instance_type: str,
    tags: Mapping[str, str],
    token: str,
    security_group: str,
    template: Mapping[str, Any],
    profile: str,
) -> str:
    """Runs one instance of an EKS node image. Returns its id, at once; `find(id).address` is known then, too.

    `token` (at most 64 ASCII characters) names this launch: asked again with it, the living instance of the first time
    is the answer. `template` is a launch template's data: its disks, metadata options and tags are taken, and its
    security groups, if any, instead of `security_group`. `profile` is the name of an instance profile. Raises
    botocore's ClientError as RunInstances does.
    """
    for machine in machines():
        if machine.token == token and machine.wanted != "terminated":
            return machine.id
    taken = {name: template[name] for name in ("BlockDeviceMappings", "MetadataOptions") if name in template}
    marked = {each["ResourceType"]: each["Tags"] for each in template.get("TagSpecifications", [])}
    own = [{"Key": key, "Value": value} for key, value in tags.items()]
    marked["instance"] = [*(tag for tag in marked.get("instance", []) if tag["Key"] not in tags), *own]
    answer = api.client("ec2").run_instances(
        ImageId=machine_images.eks_node(release).id,
        InstanceType=instance_type,  # type: ignore[arg-type]
        SubnetId=subnet_id,
        MinCount=1,
        MaxCount=1,
        ClientToken=token,
        IamInstanceProfile={"Name": profile},
        SecurityGroupIds=template.get("SecurityGroupIds") or [security_group],
        TagSpecifications=[
            {"ResourceType": kind, "Tags": marked[kind]} for kind in ("instance", "volume") if kind in marked
        ],
        **taken,
    )
    made = answer["Instances"][0]
    if of_interfaces := marked.get("network-interface"):  # moto would not
        interfaces = [each["NetworkInterfaceId"] for each in made["NetworkInterfaces"]]
        api.client("ec2").create_tags(Resources=interfaces, Tags=of_interfaces)
    return made["InstanceId"]


def terminate(instance_id: str) -> None:
    """Asks for the end of an instance; `find(id).state` is `terminated` when its host is gone. Unknown ids are fine."""
    if find(instance_id):
        api.client("ec2").terminate_instances(InstanceIds=[instance_id])


def find(instance_id: str) -> Machine | None:
    """Returns the instance of that id, also a terminated one; None where there never was one."""
    return next((machine for machine in machines() if machine.id == instance_id), None)


def machines() -> list[Machine]:
    """Returns all instances, the oldest first."""
    with api.lock:
        return [_machine(instance) for instance in backend().all_instances()]


def observe(hosts: Mapping[str, str]) -> None:
    """Takes in the states of the hosts, by instance id; a host that is not named is absent."""
    with api.lock:
        for instance in backend().all_instances():
            instance._state.observe(hosts.get(instance.id, "absent"))


def fail(instance_id: str, reason: str) -> None:
    """Ends an instance that cannot be made, as AWS does: terminated, with the reason in its StateReason."""
    from moto.ec2.models.instances import StateReason

    with api.lock:
        terminate(instance_id)
        backend().get_instance(instance_id).state_reason = StateReason(
            f"Server.InternalError: {reason}", "Server.InternalError"
        )


def backend() -> Any:
    """Returns moto's EC2 of the lab's account and region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[ACCOUNT][REGION]


def _machine(instance: Any) -> Machine:
    key = backend().key_pairs.get(instance.key_name)
    return Machine(
        id=instance.id,
        wanted=instance._state.wanted,
        state=instance._state.name,
        release=machine_images.release(instance.image_id),
        address=str(instance.private_ip),
        hostname=instance.private_dns_name,
        zone=str(instance.availability_zone),
        subnet_id=str(instance.subnet_id),
        instance_type=instance.instance_type,
        user_data=base64.b64decode(str(instance.user_data or "")),
        authorized_keys=(key.public_key.strip(),) if key else (),
        tags={tag["key"]: tag["value"] for tag in instance.get_tags()},
        token=instance.client_token or "",
    )
