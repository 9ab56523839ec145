"""The lab's EC2 with real hosts: instances are what the API says, also when its process dies in between."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab import supervisor
from lab.constants import API_PORT, FABRIC, FABRIC_API_URL, STATE
from tests.support.live import Shell, health, kill_daemon

KEY_PAIR = f"lab-test-{os.getpid()}"
#: No stack uses it.
CIDR = "198.19.208.0/24"
USER_DATA = "#cloud-config\n{}\n"
BOOT = "cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestampMonotonic"


def key() -> tuple[str, str]:
    """Returns private and public half of an SSH key."""
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = made.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


@dataclass(frozen=True)
class Cloud:
    """What the tests share: a subnet, a key, and the `aws` command."""

    shell: Shell
    image: str
    subnet: str
    folder: Path

    def aws(self, *argv: str, check: bool = True) -> Any:
        return aws(self.shell, *argv, check=check)

    def run(self, *more: str) -> str:
        answer = self.aws(
            "ec2", "run-instances", "--image-id", self.image, "--instance-type", "t3.medium",
            "--subnet-id", self.subnet, "--key-name", KEY_PAIR, *more,
        )  # fmt: skip
        assert answer["Instances"][0]["State"]["Name"] == "pending"
        return str(answer["Instances"][0]["InstanceId"])

    def instance(self, name: str) -> Any:
        return self.aws("ec2", "describe-instances", "--instance-ids", name)["Reservations"][0]["Instances"][0]

    def wait(self, name: str, state: str, seconds: float = 180) -> Any:
        deadline = time.monotonic() + seconds
        while (found := self.instance(name))["State"]["Name"] != state:
            assert time.monotonic() < deadline, f"{name} is {found['State']['Name']}, not {state}, after {seconds} s"
            time.sleep(1)
        return found

    def ssh(self, address: str, *command: str, host_key: str = "") -> subprocess.CompletedProcess[str]:
        known = self.folder / "known_hosts"
        known.write_text(f"{address} {host_key}\n")
        options = [
            f"UserKnownHostsFile={known}",
            f"StrictHostKeyChecking={'yes' if host_key else 'no'}",
            "ConnectTimeout=5",
        ]
        flags = [part for option in options for part in ("-o", option)]
        return subprocess.run(
            ["ssh", "-F", "none", "-i", self.folder / "key", *flags, f"admin@{address}", *command],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


def aws(shell: Shell, *argv: str, check: bool = True) -> Any:
    done = shell.run("aws", *argv, "--output", "json", check=check)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else done.stderr


@pytest.fixture(scope="module")
def cloud(shell: Shell, secrets_folder: Path) -> Iterator[Cloud]:
    private, public = key()
    (secrets_folder / "key").touch(0o600)
    (secrets_folder / "key").write_text(private)
    (secrets_folder / "key.pub").write_text(public)
    found = aws(
        shell, "ec2", "describe-images", "--owners", "136693071363", "--filters", "Name=name,Values=debian-12-amd64-*"
    )
    vpc = aws(shell, "ec2", "create-vpc", "--cidr-block", CIDR)["Vpc"]["VpcId"]
    subnet = aws(shell, "ec2", "create-subnet", "--vpc-id", vpc, "--cidr-block", CIDR)["Subnet"]["SubnetId"]
    aws(
        shell,
        "ec2",
        "import-key-pair",
        "--key-name",
        KEY_PAIR,
        "--public-key-material",
        f"fileb://{secrets_folder / 'key.pub'}",
    )
    cloud = Cloud(shell, found["Images"][0]["ImageId"], subnet, secrets_folder)
    yield cloud
    left = aws(shell, "ec2", "describe-instances", "--filters", f"Name=subnet-id,Values={subnet}")["Reservations"]
    names = [instance["InstanceId"] for reservation in left for instance in reservation["Instances"]]
    if names:
        aws(shell, "ec2", "terminate-instances", "--instance-ids", *names)
        for name in names:
            cloud.wait(name, "terminated")
    aws(shell, "ec2", "delete-key-pair", "--key-name", KEY_PAIR)
    aws(shell, "ec2", "delete-subnet", "--subnet-id", subnet)
    aws(shell, "ec2", "delete-vpc", "--vpc-id", vpc)


def test_the_api_answers_on_the_bridge_to_its_own_keys_alone(shell: Shell) -> None:
    call = ["aws", "sts", "get-caller-identity", "--output", "text", "--query", "Arn"]
    there = shell.environment | {"AWS_ENDPOINT_URL": FABRIC_API_URL}
    assert Shell(there).run(*call).stdout.strip().endswith(":user/twinplane")
    strange = Shell(there | {"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}).run(*call, check=False)
    assert "InvalidClientTokenId" in strange.stderr
    listening = shell.run("ss", "-ltnH", f"sport = :{API_PORT}").stdout
    assert sorted(line.split()[3].rpartition(":")[0] for line in listening.splitlines()) == ["127.0.0.1", str(FABRIC)]


def test_an_instance_from_launch_to_end(cloud: Cloud) -> None:
    private, public = key()
    user_data = USER_DATA.format(json.dumps({"ssh_keys": {"ed25519_private": private, "ed25519_public": public}}))
    name = cloud.run("--user-data", user_data)
    kill_daemon()  # in the middle of the boot
    instance = cloud.wait(name, "running")
    address = instance["PrivateIpAddress"]
    assert address.startswith("198.19.208.")

    # Running means: the key pair opens the host, which has the key that user data pinned.
    answer = cloud.ssh(address, "hostname; cat /etc/debian_version", host_key=public)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[0].startswith(f"ip-{address.replace('.', '-')}")
    assert answer.stdout.splitlines()[1].startswith("12.")
    console = cloud.aws("ec2", "get-console-output", "--instance-id", name)["Output"]
    assert "systemd" in console

    # Its host lives through the daemon's death, and the daemon still knows it.
    boot = cloud.ssh(address, BOOT, host_key=public).stdout
    kill_daemon()
    assert cloud.instance(name) == instance
    assert cloud.ssh(address, BOOT, host_key=public).stdout == boot

    cloud.ssh(address, "echo kept | sudo tee /var/kept", host_key=public)
    cloud.aws("ec2", "stop-instances", "--instance-ids", name)
    cloud.wait(name, "stopped")
    assert cloud.ssh(address, "true").returncode != 0
    cloud.aws("ec2", "start-instances", "--instance-ids", name)
    assert cloud.wait(name, "running")["PrivateIpAddress"] == address
    assert cloud.ssh(address, "cat /var/kept", host_key=public).stdout == "kept\n"

    cloud.aws("ec2", "terminate-instances", "--instance-ids", name)
    kill_daemon()
    cloud.wait(name, "terminated")
    assert not (STATE / "hosts" / name).exists()
    assert not supervisor.alive(f"host-{name}")
    routes = subprocess.run(["ip", "route", "show", address], capture_output=True, text=True, check=True).stdout
    assert routes == ""


def test_a_rebooted_instance_keeps_running_for_the_api_and_comes_back(cloud: Cloud) -> None:
    name = cloud.run()
    address = cloud.wait(name, "running")["PrivateIpAddress"]
    before = cloud.ssh(address, BOOT).stdout
    assert before
    cloud.aws("ec2", "reboot-instances", "--instance-ids", name)
    assert cloud.instance(name)["State"]["Name"] == "running"
    deadline = time.monotonic() + 120
    while cloud.ssh(address, BOOT).stdout in {"", before}:
        assert time.monotonic() < deadline, "not back after 120 s"
        time.sleep(1)
    cloud.aws("ec2", "terminate-instances", "--instance-ids", name)
    cloud.wait(name, "terminated")


def test_a_host_that_nobody_asked_for_is_removed(cloud: Cloud) -> None:  # noqa: ARG001
    from lab.constants import BASE_RELEASE
    from lab.machines.host import Host

    host = Host.create("i-0123456789abcdef0", address="198.19.208.200", image=BASE_RELEASE, hostname="orphan")
    deadline = time.monotonic() + 60
    while host.exists:
        assert time.monotonic() < deadline, "still there after 60 s"
        time.sleep(0.5)


def test_an_address_that_the_lab_cannot_route_ends_the_instance_with_the_reason(cloud: Cloud) -> None:
    vpc = cloud.aws("ec2", "create-vpc", "--cidr-block", "10.0.0.0/24")["Vpc"]["VpcId"]
    subnet = cloud.aws("ec2", "create-subnet", "--vpc-id", vpc, "--cidr-block", "10.0.0.0/24")["Subnet"]["SubnetId"]
    answer = cloud.aws(
        "ec2", "run-instances", "--image-id", cloud.image, "--instance-type", "t3.medium", "--subnet-id", subnet
    )
    ended = cloud.wait(answer["Instances"][0]["InstanceId"], "terminated")
    assert "address 10.0.0.4 is not in 198.18.0.0/15" in ended["StateReason"]["Message"]
    cloud.aws("ec2", "delete-subnet", "--subnet-id", subnet)
    cloud.aws("ec2", "delete-vpc", "--vpc-id", vpc)


def test_up_again_is_quick_and_changes_nothing(shell: Shell) -> None:
    before, started = health()["pid"], time.monotonic()
    shell.run("twinplane", "lab", "up")
    assert time.monotonic() - started < 30
    assert health()["pid"] == before
