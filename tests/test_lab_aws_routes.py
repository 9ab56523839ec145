"""Routes of route tables through instances: what the API tells of them, and what the machine is to route."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.cloud import api
from lab.cloud.ec2 import ec2, machine_images, routes
from lab.cloud.ec2.controller import InstanceController
from lab.constants import BASE_RELEASE
from lab.machines import network
from lab.machines.host import Host
from tests.aws_front import fresh

PODS, OTHERS = "198.18.192.0/24", "198.18.193.0/24"


class Cloud:
    """A VPC with one table and two instances that forward."""

    def __init__(self) -> None:
        self.client = api.client("ec2")
        vpc = self.client.create_vpc(CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
        self.subnet = self.client.create_subnet(VpcId=vpc, CidrBlock="198.18.0.0/20")["Subnet"]["SubnetId"]
        self.table = self.client.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        self.one, self.two = self.instance(), self.instance()

    def instance(self, *, forwards: bool = True) -> str:
        made = self.client.run_instances(
            ImageId=machine_images.debian(BASE_RELEASE).id,
            InstanceType="t3.medium",
            SubnetId=self.subnet,
            MinCount=1,
            MaxCount=1,
        )["Instances"][0]["InstanceId"]
        if forwards:
            self.client.modify_instance_attribute(InstanceId=made, SourceDestCheck={"Value": False})
        return made

    def interface(self, instance: str) -> str:
        [told] = self.client.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
        return told["NetworkInterfaces"][0]["NetworkInterfaceId"]

    def address(self, instance: str) -> str:
        found = ec2.find(instance)
        assert found
        return found.address

    def create(self, cidr: str, **target: Any) -> None:
        self.client.create_route(RouteTableId=self.table, DestinationCidrBlock=cidr, **target)

    def told(self, cidr: str) -> dict[str, Any]:
        [table] = self.client.describe_route_tables(RouteTableIds=[self.table])["RouteTables"]
        return next(dict(route) for route in table["Routes"] if route.get("DestinationCidrBlock") == cidr)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with fresh(tmp_path / "state", monkeypatch):
        yield Cloud()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The machine's routes that are marked as of tables."""
    now: dict[str, str] = {}

    def route(cidr: str, via: str, *, mark: str) -> None:
        assert mark == network.TABLES
        now[cidr] = via

    monkeypatch.setattr(network, "marked", lambda mark: dict(now) if mark == network.TABLES else {})
    monkeypatch.setattr(network, "route", route)
    monkeypatch.setattr(network, "unroute", now.pop)
    return now


def test_a_route_leads_through_its_instance_until_it_is_deleted(cloud: Cloud, machine: dict[str, str]) -> None:
    cloud.create(PODS, InstanceId=cloud.one)
    cloud.create(OTHERS, NetworkInterfaceId=cloud.interface(cloud.two))
    routes.make()
    assert machine == {PODS: cloud.address(cloud.one), OTHERS: cloud.address(cloud.two)}
    cloud.client.replace_route(RouteTableId=cloud.table, DestinationCidrBlock=PODS, InstanceId=cloud.two)
    routes.make()
    assert machine == {PODS: cloud.address(cloud.two), OTHERS: cloud.address(cloud.two)}
    cloud.client.delete_route(RouteTableId=cloud.table, DestinationCidrBlock=PODS)
    routes.make()
    assert machine == {OTHERS: cloud.address(cloud.two)}
    cloud.client.delete_route_table(RouteTableId=cloud.table)
    routes.make()
    assert machine == {}


def test_what_is_told_of_it_is_the_same_by_instance_and_by_interface(cloud: Cloud) -> None:
    cloud.create(PODS, InstanceId=cloud.one)
    cloud.create(OTHERS, NetworkInterfaceId=cloud.interface(cloud.one))
    told = {
        "InstanceId": cloud.one,
        "NetworkInterfaceId": cloud.interface(cloud.one),
        "InstanceOwnerId": "123456789012",
        "Origin": "CreateRoute",
        "State": "active",
    }
    for cidr in (PODS, OTHERS):
        assert cloud.told(cidr) == {"DestinationCidrBlock": cidr, **told}
    assert not {"InstanceId", "InstanceOwnerId", "NetworkInterfaceId"} & set(cloud.told("198.18.0.0/18"))


def test_it_ends_with_its_instance_and_the_table_tells_a_blackhole(cloud: Cloud, machine: dict[str, str]) -> None:
    cloud.create(PODS, InstanceId=cloud.one)
    cloud.create(OTHERS, NetworkInterfaceId=cloud.interface(cloud.one))
    routes.make()
    ec2.terminate(cloud.one)
    routes.make()
    assert machine == {}
    for cidr in (PODS, OTHERS):
        assert cloud.told(cidr)["State"] == "blackhole"
        assert "InstanceId" not in cloud.told(cidr), "controllers would ask for an instance that is gone"


def test_an_instance_that_checks_gets_nothing_for_others(cloud: Cloud, machine: dict[str, str]) -> None:
    checking = cloud.instance(forwards=False)
    cloud.create(PODS, InstanceId=checking)
    routes.make()
    assert machine == {}
    cloud.client.modify_instance_attribute(InstanceId=checking, SourceDestCheck={"Value": False})
    routes.make()
    assert machine == {PODS: cloud.address(checking)}


def test_networks_outside_the_lab_lead_nowhere(cloud: Cloud, machine: dict[str, str]) -> None:
    cloud.create("0.0.0.0/0", InstanceId=cloud.one)
    routes.make()
    assert machine == {}
    assert cloud.told("0.0.0.0/0")["State"] == "active"


def test_a_daemon_that_was_killed_goes_on_from_what_it_finds(
    cloud: Cloud, machine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.create(PODS, InstanceId=cloud.one)
    address = cloud.address(cloud.one)
    machine[OTHERS] = "198.18.0.99"  # deleted just before the end
    with fresh(tmp_path / "state", monkeypatch):
        routes.make()
        assert machine == {PODS: address}


@pytest.mark.parametrize("action", ["CreateRoute", "DeleteRoute", "ModifyInstanceAttribute", "DeleteRouteTable"])
def test_a_change_is_made_at_once(action: str) -> None:
    controller = InstanceController(Host)
    controller.noticed(action, {}, 200)
    assert controller.woken.is_set()
