"""Network and ContainerRegistry under the real engine, against moto: every way out, and nothing left at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.support import engine
from tests.support.engine import Project, client

PROGRAM = f"""
import sys
from ipaddress import IPv4Network

sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.registry.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.network.network import Network, NetworkArgs

config = pulumi.Config()
network = Network(
    "net",
    NetworkArgs(
        IPv4Network("198.18.0.0/18"),
        zones=config.get_int("zones") or 2,
        nat=config.require("nat"),
        interface_endpoints=(config.get("endpoints") or "").split(),
        flow_log_days=config.get_int("days") or 0,
    ),
)
registry = ContainerRegistry("reg", ContainerRegistryArgs(images=["sample-app"], prefix="net"))
pulumi.export("private", network.private_subnet_ids)
pulumi.export("registry", registry.exported)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with engine.moto() as url:
        yield engine.project(tmp_path, url, PROGRAM, "network")


def gateways(project: Project) -> list[str]:
    found = client(project, "ec2").describe_nat_gateways()["NatGateways"]
    return sorted(each["SubnetId"] for each in found if each["State"] == "available")


def test_every_way_out_and_back(project: Project) -> None:
    shapes: list[dict[str, str]] = [
        {"nat": "single", "days": "7"},
        {"nat": "per_zone", "zones": "3", "endpoints": "ecr.api ecr.dkr"},
        {"nat": "none", "zones": "2", "endpoints": "sts", "days": "0"},
    ]
    for shape, count in zip(shapes, (1, 3, 0), strict=True):
        for key, value in shape.items():
            project("config", "set", key, value)
        project("up", "--yes", "--skip-preview")
        assert len(gateways(project)) == count
        project("up", "--yes", "--skip-preview", "--expect-no-changes")
        project("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    registry = project.outputs()["registry"]
    assert registry["repositories"]["sample-app"] == f"{registry['host']}/net/sample-app"

    project("destroy", "--yes", "--skip-preview")
    ec2 = client(project, "ec2")
    assert not [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
    assert not ec2.describe_addresses()["Addresses"]
    assert not ec2.describe_flow_logs()["FlowLogs"]
    assert not client(project, "logs").describe_log_groups()["logGroups"]
    assert not client(project, "ecr").describe_repositories()["repositories"]
