"""Machines -> inventory and known_hosts, and each wrong machine in one line."""

import json
from typing import Any

import pytest

from tests.support import golden_files
from tests.support.machines import MACHINES
from twinplane.errors import UsageError
from twinplane.inventory import inventory, known_hosts


def test_the_inventory_is_the_golden_one() -> None:
    rendered = json.dumps(inventory(MACHINES, "admin"), indent=2) + "\n"
    golden_files.check("inventory.json", rendered)


def test_through_a_tunnel_instances_are_pinned_by_their_ids() -> None:
    through = [{**each, "sshAddress": each["instanceId"], "sshTunnel": "eu-west-1"} for each in MACHINES]
    hosts = inventory(through, "admin")["all"]["children"]["kubernetes"]["children"]["workers"]["hosts"]
    assert hosts["worker-1"]["ansible_host"] == "i-2"
    assert known_hosts(through).splitlines()[0] == "i-1 ssh-ed25519 AAAA1"


def test_known_hosts_pins_each_address() -> None:
    assert known_hosts(MACHINES).splitlines() == [
        "203.0.113.1 ssh-ed25519 AAAA1",
        "203.0.113.3 ssh-ed25519 AAAA3",
        "203.0.113.2 ssh-ed25519 AAAA2",
    ]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hostKey", "", "hostKey is missing"),
        ("privateIp", None, "privateIp is missing"),
        ("privateIp", "10.0.0", "not an IPv4 address"),
        ("publicIp", "203.0.113", "publicIp '203.0.113' is not an IPv4 address"),
        ("role", "etcd", "none of control-plane, worker"),
        ("name", "a b", "is not one"),
        ("name", "-oProxyCommand", "is not one"),
        ("sshAddress", "-oProxyCommand=x", "is not one"),
        ("sshAddress", "host\nother", "is not one"),
        ("hostKey", "ssh-ed25519 AAAA\nother ssh-ed25519 BBBB", "is not one"),
        ("instanceId", "i-1 --x", "is not one"),
        ("zone", "us east", "is not one"),
        ("sshTunnel", "eu-west-1 --x", "is not one"),
        ("name", "worker-2", "twice"),
    ],
)
def test_a_wrong_machine_is_named(field: str, value: Any, words: str) -> None:
    wrong = [*MACHINES[:2], {**MACHINES[2], field: value}]
    with pytest.raises(UsageError) as error:
        inventory(wrong, "admin")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cluster_needs_a_control_plane() -> None:
    with pytest.raises(UsageError, match="control-plane"):
        inventory(MACHINES[1:], "admin")
