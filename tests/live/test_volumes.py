"""EBS volumes as disks of machines: what is on them outlives a stop, a reboot, a killed daemon and the machine."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lab import supervisor
from lab.cloud.ec2 import machine_images
from lab.constants import BASE_RELEASE
from lab.machines.host import Host
from lab.machines.volume import Volume
from tests.support.live import Shell, until

#: No stack uses it.
NETWORK = "198.19.210.0/24"
#: Makes a file system on the disk $1 and has it mounted at each boot, as the role etcd_disk does.
MOUNT = """
mkfs.ext4 -q "$1"
printf '[Mount]\\nWhat=%s\\nWhere=/data\\nType=ext4\\n[Install]\\nWantedBy=local-fs.target\\n' "$1" \\
    >/etc/systemd/system/data.mount
systemctl enable --now data.mount
echo kept >/data/file
"""


class Cloud:
    """Two machines and a volume."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.vpc = client.create_vpc(CidrBlock=NETWORK)["Vpc"]["VpcId"]
        subnet = client.create_subnet(VpcId=self.vpc, CidrBlock=NETWORK, AvailabilityZone="us-east-1a")
        self.subnet = subnet["Subnet"]["SubnetId"]
        answer = client.run_instances(
            ImageId=machine_images.debian(BASE_RELEASE).id,
            InstanceType="t3.medium",
            SubnetId=self.subnet,
            MinCount=2,
            MaxCount=2,
        )
        self.one, self.two = (each["InstanceId"] for each in answer["Instances"])
        self.volume = client.create_volume(AvailabilityZone="us-east-1a", Size=1, Encrypted=True)["VolumeId"]
        self.device = f"/dev/{Volume(self.volume).link}"
        for each in (self.one, self.two):
            self.wait(each, "running")

    def wait(self, instance: str, state: str) -> None:
        waiter = self.client.get_waiter(f"instance_{state}")
        waiter.wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 120})

    def attach(self, instance: str) -> None:
        """Attaches the volume, and waits until the machine sees it."""
        self.client.attach_volume(VolumeId=self.volume, InstanceId=instance, Device="/dev/sdf")
        until("the disk", lambda: Host(instance).run("test", "-b", self.device).returncode == 0, 30)

    def remove(self) -> None:
        for each in (self.one, self.two):
            self.client.terminate_instances(InstanceIds=[each])
            self.wait(each, "terminated")
        self.client.delete_subnet(SubnetId=self.subnet)
        self.client.delete_vpc(VpcId=self.vpc)


@pytest.fixture(scope="module")
def cloud(shell: Shell) -> Iterator[Cloud]:
    made = Cloud(shell.client("ec2"))
    yield made
    made.remove()


def read(instance: str) -> str:
    """Returns the file on the disk, from where it is mounted."""
    return Host(instance).run("sh", "-c", "findmnt -no FSTYPE /data && cat /data/file").stdout


def test_a_volume_is_a_disk_with_its_id_as_serial_number(cloud: Cloud) -> None:
    cloud.attach(cloud.one)
    host = Host(cloud.one)
    told = host.run("lsblk", "-dbno", "SERIAL,SIZE", cloud.device).stdout.split()
    assert told == [cloud.volume.replace("-", ""), str(1024**3)]
    done = host.run("sh", "-euc", MOUNT, "sh", cloud.device)
    assert (done.returncode, read(cloud.one)) == (0, "ext4\nkept\n"), done.stderr
    assert Volume(cloud.volume).file.stat().st_blocks * 512 < 200 * 1024**2, "sparse"


def test_it_is_mounted_again_after_a_stop_and_a_reboot_without_the_daemon(cloud: Cloud) -> None:
    host = Host(cloud.one)
    cloud.client.stop_instances(InstanceIds=[cloud.one])
    cloud.wait(cloud.one, "stopped")
    cloud.client.start_instances(InstanceIds=[cloud.one])
    cloud.wait(cloud.one, "running")
    assert read(cloud.one) == "ext4\nkept\n"

    killed = supervisor.Record.read("daemon").child
    assert killed
    killed.signal(signal.SIGKILL)
    host.reboot()
    until("the host is back", lambda: host.state == "running", 60)
    assert read(cloud.one) == "ext4\nkept\n"
    until("the daemon is back", lambda: supervisor.Record.read("daemon").child not in {None, killed}, 60)


def test_its_data_goes_with_it_to_another_machine(cloud: Cloud) -> None:
    cloud.client.terminate_instances(InstanceIds=[cloud.one])
    [told] = cloud.client.describe_volumes(VolumeIds=[cloud.volume])["Volumes"]
    assert (told["State"], told["Attachments"]) == ("available", [])
    cloud.attach(cloud.two)
    host = Host(cloud.two)
    done = host.run("sh", "-euc", 'mkdir /data && mount "$1" /data', "sh", cloud.device)
    assert (done.returncode, read(cloud.two)) == (0, "ext4\nkept\n"), done.stderr


def test_it_ends_with_its_deletion(cloud: Cloud) -> None:
    volume, host = Volume(cloud.volume), Host(cloud.two)
    assert host.run("umount", "/data").returncode == 0
    cloud.client.detach_volume(VolumeId=cloud.volume, InstanceId=cloud.two)
    until("its loop device is free", lambda: volume.loop is None, 30)
    assert host.run("test", "-e", cloud.device).returncode == 1
    assert host.run("find", "/run/udev", "/dev", "-name", "*7:*", "-o", "-name", "loop*").stdout == ""
    assert volume.file.exists()
    cloud.client.delete_volume(VolumeId=cloud.volume)
    until("its file is gone", lambda: not volume.file.exists(), 30)
