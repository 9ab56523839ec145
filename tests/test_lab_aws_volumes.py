"""EBS volumes as disks of hosts: with hosts that only note what they are given, and loop devices that are played."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.ec2 import ec2, machine_images, volumes
from lab.cloud.ec2.controller import InstanceController
from lab.constants import BASE_RELEASE
from lab.machines.host import Host
from lab.machines.volume import GIB, Volume
from tests.aws_front import fresh
from tests.loop_devices import LoopDevices


class FakeHost:
    """Its disks, by id."""

    plugged: ClassVar[dict[str, list[str]]] = {}

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def all(cls) -> list[FakeHost]:
        return [cls(name) for name in cls.plugged]

    @property
    def exists(self) -> bool:
        return self.name in self.plugged

    @property
    def disks(self) -> list[Volume]:
        return [Volume(id) for id in self.plugged[self.name]]

    def plug(self, volume: Volume) -> None:
        assert volume.file.exists()
        self.plugged[self.name] = sorted({*self.plugged[self.name], volume.id})
        volume.open()

    def unplug(self, volume: Volume) -> None:
        self.plugged[self.name].remove(volume.id)
        volume.close()


class Cloud:
    """Two instances, the first with its host."""

    def __init__(self) -> None:
        self.client = api.client("ec2")
        vpc = self.client.create_vpc(CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
        subnet = self.client.create_subnet(VpcId=vpc, CidrBlock="198.18.0.0/20", AvailabilityZone="us-east-1a")
        self.subnet = subnet["Subnet"]["SubnetId"]
        self.one, self.two = self.instance(), self.instance()
        FakeHost.plugged[self.one] = []

    def instance(self) -> str:
        return self.client.run_instances(
            ImageId=machine_images.debian(BASE_RELEASE).id,
            InstanceType="t3.medium",
            SubnetId=self.subnet,
            MinCount=1,
            MaxCount=1,
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20}}],
        )["Instances"][0]["InstanceId"]

    def volume(self, size: int = 1, zone: str = "us-east-1a") -> str:
        return self.client.create_volume(AvailabilityZone=zone, Size=size)["VolumeId"]

    def attach(self, volume: str, instance: str) -> None:
        self.client.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopDevices:
    monkeypatch.setattr(volumes, "Host", FakeHost)
    monkeypatch.setattr(FakeHost, "plugged", {})
    return LoopDevices(tmp_path, tmp_path / "state", monkeypatch)


@pytest.fixture
def cloud(kernel: LoopDevices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:  # noqa: ARG001
    with fresh(tmp_path / "state", monkeypatch):
        yield Cloud()


def files() -> dict[str, int]:
    return {each.id: each.file.stat().st_size // GIB for each in Volume.all()}


def test_what_is_attached_is_a_disk_until_it_is_detached(cloud: Cloud, kernel: LoopDevices) -> None:
    volume = cloud.volume(2)
    volumes.make()
    assert files() == {}, "nobody has seen it, and root devices are the hosts' own"
    cloud.attach(volume, cloud.one)
    volumes.make()
    volumes.make()
    assert (files(), FakeHost.plugged) == ({volume: 2}, {cloud.one: [volume]})
    cloud.client.modify_volume(VolumeId=volume, Size=3)
    volumes.make()
    assert files() == {volume: 3}
    cloud.client.detach_volume(VolumeId=volume, InstanceId=cloud.one)
    volumes.make()
    assert (files(), FakeHost.plugged, kernel.used()) == ({volume: 3}, {cloud.one: []}, {})
    cloud.client.delete_volume(VolumeId=volume)
    volumes.make()
    assert files() == {}


def test_it_outlives_its_instance_and_goes_to_the_next(cloud: Cloud, kernel: LoopDevices) -> None:
    volume = cloud.volume()
    cloud.attach(volume, cloud.one)
    volumes.make()
    kernel.mounted.add("loop0")
    ec2.terminate(cloud.one)
    assert cloud.client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"
    cloud.attach(volume, cloud.two)
    volumes.make()
    assert FakeHost.plugged == {cloud.one: []}, "the other host is not there yet"
    FakeHost.plugged[cloud.two] = []
    volumes.make()
    assert Volume(volume).open() is None, "not while the first one mounts it"
    kernel.unmount("loop0")
    volumes.make()
    assert (FakeHost.plugged[cloud.two], list(kernel.used())) == ([volume], ["loop0"])


def test_one_instance_at_a_time(cloud: Cloud) -> None:
    volume = cloud.volume()
    cloud.attach(volume, cloud.one)
    with pytest.raises(ClientError, match=f"VolumeInUse.*{cloud.one}"):
        cloud.attach(volume, cloud.two)


def test_a_volume_is_attached_in_its_own_zone_alone(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match=f"InvalidVolume.ZoneMismatch.*{cloud.one}"):
        cloud.attach(cloud.volume(zone="us-east-1b"), cloud.one)


def test_a_daemon_that_was_killed_goes_on_from_what_it_finds(
    cloud: Cloud, kernel: LoopDevices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = cloud.volume(), cloud.volume()
    for volume in (kept, gone):
        cloud.attach(volume, cloud.one)
    volumes.make()
    cloud.client.detach_volume(VolumeId=gone, InstanceId=cloud.one)
    cloud.client.delete_volume(VolumeId=gone)
    with fresh(tmp_path / "state", monkeypatch):
        volumes.make()
    assert (list(files()), FakeHost.plugged) == ([kept], {cloud.one: [kept]})
    assert list(kernel.used().values()) == [str(Volume(kept).file)]


@pytest.mark.parametrize("action", ["AttachVolume", "DetachVolume", "DeleteVolume", "ModifyVolume"])
def test_a_change_is_made_at_once(action: str) -> None:
    controller = InstanceController(Host)
    controller.noticed(action, {}, 200)
    assert controller.woken.is_set()
