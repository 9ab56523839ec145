"""What is done with hosts, and what EC2 says meanwhile: with hosts that only keep a state."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.ec2 import ec2, machine_images
from lab.cloud.ec2.controller import InstanceController, console
from lab.cloud.ec2.ec2 import Bootstrap
from lab.constants import BASE_RELEASE, UPDATED_RELEASE
from tests.aws_front import fresh


class FakeHost:
    def __init__(self, name: str, machine: "FakeHosts", made: dict[str, Any]) -> None:
        self.name, self.machine, self.made = name, machine, made
        self.state = "stopped"
        self.console = machine.folder / name
        self.directory = machine.folder / "hosts" / name

    def start(self) -> None:
        self.machine.log.append(("start", self.name))
        self.state = "booting"

    def stop(self) -> None:
        self.machine.log.append(("stop", self.name))
        self.state = "stopped"

    def reboot(self) -> None:
        self.machine.log.append(("reboot", self.name))
        self.state = "booting"

    def delete(self) -> None:
        self.machine.log.append(("delete", self.name))
        self.machine.by_name.pop(self.name, None)
        self.machine.removal.wait(5)
        if self.directory.exists():
            self.directory.rmdir()


class FakeHosts:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by_name: dict[str, FakeHost] = {}
        self.log: list[tuple[str, str]] = []
        self.refusal = ""
        self.routed = 0
        self.removal = threading.Event()
        self.removal.set()

    def __call__(self, name: str) -> FakeHost:
        return self.by_name.get(name) or FakeHost(name, self, {})

    def all(self) -> list[FakeHost]:
        return list(self.by_name.values())

    def route(self) -> None:
        self.routed += 1

    def create(self, name: str, **made: Any) -> FakeHost:
        self.log.append(("create", name))
        if self.refusal:
            raise RuntimeError(self.refusal)
        return self.by_name.setdefault(name, FakeHost(name, self, made))


@pytest.fixture
def hosts(tmp_path: Path) -> FakeHosts:
    return FakeHosts(tmp_path)


@pytest.fixture
def reconciler(hosts: FakeHosts) -> InstanceController:
    return InstanceController(hosts, hosts.route)


@pytest.fixture
def _endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: FakeHosts, reconciler: InstanceController
) -> Iterator[None]:
    wiring = {"observers": {"ec2": reconciler.noticed}, "console": partial(console, hosts)}
    with fresh(tmp_path / "state", monkeypatch, **wiring):
        yield


@pytest.fixture
def subnet(_endpoint: None) -> str:
    client = api.client("ec2")
    vpc = client.create_vpc(CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
    return client.create_subnet(VpcId=vpc, CidrBlock="198.18.0.0/20")["Subnet"]["SubnetId"]


def run(subnet: str, **more: Any) -> str:
    answer = api.client("ec2").run_instances(
        ImageId=machine_images.debian(BASE_RELEASE).id,
        InstanceType="t3.medium",
        SubnetId=subnet,
        MinCount=1,
        MaxCount=1,
        **more,
    )
    return answer["Instances"][0]["InstanceId"]


def state(instance: str) -> str:
    answer = api.client("ec2").describe_instances(InstanceIds=[instance])
    return answer["Reservations"][0]["Instances"][0]["State"]["Name"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not come to it within 5 s"
        time.sleep(0.01)


def settle(reconciler: InstanceController) -> None:
    """Steps until there is nothing more to do at once."""
    reconciler.step()
    until(lambda: not reconciler._busy)
    reconciler.step()
    until(lambda: not reconciler._busy)
    reconciler.step()


def test_an_instance_lives_as_its_host_does(hosts: FakeHosts, subnet: str, reconciler: InstanceController) -> None:
    client = api.client("ec2")
    client.import_key_pair(
        KeyName="mine",
        PublicKeyMaterial=b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfYtFx0ZOOWPLs8sWQ0bbM0x3UGCzCxqC0RTz5jFhbK",
    )
    name = run(subnet, KeyName="mine", UserData="#cloud-config\nssh_keys: {}\n")
    assert state(name) == "pending"
    settle(reconciler)
    assert state(name) == "pending", "booting is not running"
    made = hosts.by_name[name].made
    assert made["image"] == BASE_RELEASE
    assert made["address"] == "198.18.0.4"
    assert made["hostname"] == "ip-198-18-0-4.ec2.internal"
    assert made["user_data"] == b"#cloud-config\nssh_keys: {}\n"
    assert [key.split()[:2] for key in made["authorized_keys"]] == [
        ["ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIJfYtFx0ZOOWPLs8sWQ0bbM0x3UGCzCxqC0RTz5jFhbK"]
    ]
    assert made["ssh"] is True
    hosts.by_name[name].state = "running"
    settle(reconciler)
    assert state(name) == "running"

    client.stop_instances(InstanceIds=[name])
    assert state(name) == "stopping"
    settle(reconciler)
    assert state(name) == "stopped"
    client.start_instances(InstanceIds=[name])
    assert state(name) == "pending"
    settle(reconciler)
    assert hosts.by_name[name].state == "booting"
    hosts.by_name[name].state = "running"
    settle(reconciler)
    assert state(name) == "running"

    client.terminate_instances(InstanceIds=[name])
    assert state(name) == "shutting-down"
    settle(reconciler)
    assert state(name) == "terminated"
    assert hosts.by_name == {}
    assert [verb for verb, _ in hosts.log] == ["create", "start", "stop", "start", "delete"]


def test_an_instance_is_terminated_when_the_last_of_its_host_is_gone(
    hosts: FakeHosts, subnet: str, reconciler: InstanceController
) -> None:
    name = run(subnet)
    settle(reconciler)
    hosts.removal.clear()
    ec2.terminate(name)
    ec2.terminate(name)
    reconciler.step()
    until(lambda: name not in hosts.by_name)
    reconciler.step()
    assert state(name) == "shutting-down"
    hosts.removal.set()
    settle(reconciler)
    assert state(name) == "terminated"


def test_goes_on_removing_what_a_killed_daemon_left(
    hosts: FakeHosts, subnet: str, reconciler: InstanceController
) -> None:
    name = run(subnet)
    ec2.terminate(name)
    left = hosts(name).directory
    left.mkdir(parents=True)
    reconciler.start()
    until(lambda: not left.exists())
    reconciler.stop()


def test_reboots_once_and_runs_meanwhile(hosts: FakeHosts, subnet: str, reconciler: InstanceController) -> None:
    name = run(subnet)
    settle(reconciler)
    hosts.by_name[name].state = "running"
    settle(reconciler)
    hosts.log.clear()
    api.client("ec2").reboot_instances(InstanceIds=[name])
    settle(reconciler)
    assert hosts.log == [("reboot", name)]
    assert state(name) == "running"


def test_a_host_that_died_boots_again(hosts: FakeHosts, subnet: str, reconciler: InstanceController) -> None:
    name = run(subnet)
    settle(reconciler)
    hosts.by_name[name].state = "stopped"
    hosts.log.clear()
    settle(reconciler)
    assert hosts.log == [("start", name)]


def test_removes_the_hosts_that_nobody_wants_and_leaves_others_alone(
    hosts: FakeHosts,
    subnet: str,  # noqa: ARG001
    reconciler: InstanceController,
) -> None:
    orphan, hidden = "i-0123456789abcdef0", "eks-1234"
    for name in (orphan, hidden):
        hosts.create(name)
    settle(reconciler)
    assert list(hosts.by_name) == [hidden]


def test_a_replay_starts_nothing_and_ends_nothing(
    hosts: FakeHosts, subnet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, there = run(subnet), run(subnet)
    ec2.terminate(gone)
    settle(InstanceController(hosts, hosts.route))
    hosts.by_name[there].state = "running"
    hosts.log.clear()
    with fresh(tmp_path / "state", monkeypatch):
        reconciler = InstanceController(hosts, hosts.route)
        reconciler.start()
        assert state(there) == "running", "known before the first request"
        settle(reconciler)
        reconciler.stop()
        assert (state(gone), state(there)) == ("terminated", "running")
    assert hosts.log == []


def test_an_instance_that_cannot_be_made_ends_with_the_reason(
    hosts: FakeHosts, subnet: str, reconciler: InstanceController, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.refusal = "the disk is full"
    monkeypatch.setattr("lab.cloud.ec2.controller.TRIES", 1)
    name = run(subnet)
    reconciler._over.wait = lambda _=None: True  # type: ignore[method-assign] # no pause between tries
    settle(reconciler)
    instance = api.client("ec2").describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    assert instance["State"]["Name"] == "terminated"
    assert instance["StateReason"]["Message"] == "Server.InternalError: the disk is full"


def test_an_image_without_a_host_image_ends_the_instance_at_once(
    hosts: FakeHosts, subnet: str, reconciler: InstanceController
) -> None:
    client = api.client("ec2")
    image = client.register_image(Name="mine")["ImageId"]
    name = client.run_instances(ImageId=image, InstanceType="t3.medium", SubnetId=subnet, MinCount=1, MaxCount=1)[
        "Instances"
    ][0]["InstanceId"]
    settle(reconciler)
    found = ec2.find(name)
    assert found
    assert found.state == "terminated"
    assert hosts.log == []


def test_launches_a_node_once_with_what_its_bootstrap_gives(hosts: FakeHosts, subnet: str) -> None:
    asked: list[str] = []

    def bootstrap(machine: ec2.Machine) -> Bootstrap | None:
        asked.append(machine.id)
        if "eks:cluster-name" not in machine.tags:
            return None
        return Bootstrap({"/etc/node": (machine.address.encode(), 0o600)}, {"/bin/kubelet": "/usr/bin/kubelet"})

    vpc = api.client("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    groups = [
        api.client("ec2").create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
        for name in ("cluster", "own")
    ]
    cluster_group, own_group = groups
    marked = [{"Key": "Project", "Value": "p"}, {"Key": "eks:cluster-name", "Value": "of the template"}]
    template = {
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 33, "Encrypted": True}}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": marked} for kind in ("instance", "volume")],
    }

    arn = api.client("iam").create_instance_profile(InstanceProfileName="nodes")["InstanceProfile"]["Arn"]

    def launch() -> str:
        return ec2.launch(
            release=UPDATED_RELEASE,
            subnet_id=subnet,
            instance_type="t3.medium",
            tags={"eks:cluster-name": "lab"},
            token="group/1",
            security_group=cluster_group,
            template=template,
            profile="nodes",
        )

    name, plain = launch(), run(subnet)
    assert launch() == name
    [told] = api.client("ec2").describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"]
    assert [each["GroupId"] for each in told["SecurityGroups"]] == [cluster_group]
    assert told["MetadataOptions"]["HttpTokens"] == "required"
    assert told["IamInstanceProfile"]["Arn"] == arn
    assert {tag["Key"]: tag["Value"] for tag in told["Tags"]} == {"Project": "p", "eks:cluster-name": "lab"}
    disks = [each["Ebs"]["VolumeId"] for each in told["BlockDeviceMappings"] if each["DeviceName"] == "/dev/xvda"]
    [disk] = api.client("ec2").describe_volumes(VolumeIds=disks)["Volumes"]
    assert (disk["Size"], disk["Encrypted"], disk["Tags"]) == (33, True, marked)
    settle(InstanceController(hosts, hosts.route, bootstrap=bootstrap))
    made = hosts.by_name[name].made
    assert made["image"] == UPDATED_RELEASE
    assert made["files"] == {"/etc/node": (made["address"].encode(), 0o600)}
    assert made["binds"] == {"/bin/kubelet": "/usr/bin/kubelet"}
    assert made["ssh"] is False
    assert hosts.by_name[plain].made["files"] == {}
    assert sorted(asked) == sorted([name, plain])
    ec2.terminate(name)
    template["SecurityGroupIds"] = [own_group]
    other = launch()
    assert other != name, "a launch of a node that has ended is a new one"
    [told] = api.client("ec2").describe_instances(InstanceIds=[other])["Reservations"][0]["Instances"]
    assert [each["GroupId"] for each in told["SecurityGroups"]] == [own_group], "those of the template, if it has any"


def test_console_output_is_what_the_host_printed(hosts: FakeHosts, subnet: str, reconciler: InstanceController) -> None:
    name = run(subnet)
    reconciler.start()
    (hosts.folder / name).write_text("x" * 70_000 + "login:")
    until(lambda: name in hosts.by_name)
    output = api.client("ec2").get_console_output(InstanceId=name)["Output"]
    reconciler.stop()
    assert output.endswith("login:")
    assert len(output) == 64 * 1024


def test_works_by_itself_and_stops(hosts: FakeHosts, subnet: str, reconciler: InstanceController) -> None:
    reconciler.start()
    name = run(subnet)
    until(lambda: name in hosts.by_name and hosts.by_name[name].state == "booting")
    reconciler.stop()
    assert not any(thread.name in {"instances"} for thread in threading.enumerate())
    assert hosts.routed, "routes are made with the hosts"


def test_terminate_knows_no_unknown_instance(subnet: str) -> None:  # noqa: ARG001
    ec2.terminate("i-0123456789abcdef0")
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        api.client("ec2").terminate_instances(InstanceIds=["i-0123456789abcdef0"])
