"""SSH through a tunnel: its endpoint in the lab's API, ssh that starts the AWS CLI, and none but pinned host keys."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.support import aws_cli, engine
from tests.support.live import Cluster, Shell


@pytest.fixture
def request_(self_managed: Cluster) -> dict[str, Any]:
    """The stack's own machines, as they are exported where there is an EC2 Instance Connect Endpoint."""
    outputs = self_managed.outputs
    machines = [
        {**each, "sshAddress": each["instanceId"], "sshTunnel": outputs["region"]} for each in outputs["machines"]
    ]
    return {
        "machines": machines,
        "sshUser": outputs["sshUser"],
        "sshPrivateKey": outputs["sshPrivateKey"],
        "variables": {},
    }


@pytest.fixture
def tunnels(self_managed: Cluster, tmp_path: Path) -> tuple[Shell, Path]:
    """A shell with an AWS CLI that opens tunnels to the hosts, and what that was called with."""
    addresses = {each["instanceId"]: (each["privateIp"], 22) for each in self_managed.outputs["machines"]}
    log = aws_cli.install(tmp_path, addresses)
    environment = self_managed.shell.environment
    return Shell({**environment, "PATH": f"{tmp_path}:{environment['PATH']}"}), log


def test_every_machine_is_reached_through_its_tunnel(request_: dict[str, Any], tunnels: tuple[Shell, Path]) -> None:
    shell, log = tunnels
    done = shell.run(sys.executable, "-m", "twinplane.ansible", "facts", stdin=json.dumps(request_))
    answer = json.loads(done.stdout)
    assert set(answer["facts"]) == {each["name"] for each in request_["machines"]}
    assert all(facts["os"].startswith("Debian") for facts in answer["facts"].values())
    opened = [each for each in aws_cli.calls(log) if each != ["--version"]]
    for machine in request_["machines"]:
        call = ["ec2-instance-connect", "open-tunnel", "--instance-id", machine["instanceId"]]
        # Once to see whether it greets, once to log in with the pinned key, once for Ansible's one connection.
        assert opened.count([*call, "--region", machine["sshTunnel"]]) == 3


def test_another_machine_behind_the_tunnel_is_refused(request_: dict[str, Any], tunnels: tuple[Shell, Path]) -> None:
    shell, _ = tunnels
    first, second, *rest = request_["machines"]
    swapped = [{**first, "hostKey": second["hostKey"]}, second, *rest]
    told = json.dumps({**request_, "machines": swapped})
    done = shell.run(sys.executable, "-m", "twinplane.ansible", "facts", stdin=told, check=False)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert set(answer["facts"]) == {each["name"] for each in (second, *rest)}
    assert any("its SSH host key is not the pinned one" in line for line in answer["failures"])


ENDPOINT = f"""
import sys
from ipaddress import IPv4Network

sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components.network.network import Network, NetworkArgs
from components.machines.security_groups import SecurityGroups, SecurityGroupsArgs
from components.machines.ssh_endpoint import SshEndpoint, SshEndpointArgs

network = Network("net", NetworkArgs(IPv4Network("198.19.212.0/22")))
groups = SecurityGroups("net", SecurityGroupsArgs(network.vpc_id, ["198.18.0.0/15"], []))
subnet = network.private_subnet_ids[pulumi.Config().require_int("zone")]
pulumi.export("region", SshEndpoint("net-ssh", SshEndpointArgs(network.vpc_id, subnet, groups.machine_id)).region)
"""


def test_an_endpoint_is_made_moved_and_gone(shell: Shell, tmp_path: Path) -> None:
    own = {name: value for name, value in shell.environment.items() if name.startswith("AWS_")}
    project = engine.project(tmp_path, own["AWS_ENDPOINT_URL"], ENDPOINT, "tunnel", own)
    ids = []
    # The second subnet means another endpoint, and a VPC has one.
    for zone in ("0", "1"):
        project("config", "set", "zone", zone)
        project("up", "--yes", "--skip-preview")
        project("up", "--yes", "--skip-preview", "--expect-no-changes")
        project("refresh", "--yes", "--skip-preview", "--expect-no-changes")
        [made] = [each for each in project.resources() if each["type"].endswith(":InstanceConnectEndpoint")]
        ids.append(made["id"])
        asked = ("aws", "ec2", "describe-instance-connect-endpoints", "--instance-connect-endpoint-ids", made["id"])
        [found] = shell.json(*asked)["InstanceConnectEndpoints"]
        assert (found["State"], found["PreserveClientIp"]) == ("create-complete", False)
        assert {each["Key"]: each["Value"] for each in found["Tags"]}["ManagedBy"] == "pulumi"
    assert ids[0] != ids[1]
    assert project.outputs() == {"region": "us-east-1"}
    project("destroy", "--yes", "--skip-preview")
    assert "NotFound" in shell.run(*asked, check=False).stderr
