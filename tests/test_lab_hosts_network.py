"""What the lab's network asks of `ip`, and how its name server and apt proxy are set up."""

import json
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import Failed, UsageError
from lab.machines import apt_proxy, network, resolver


def finished(
    returncode: int = 0, stdout: str = "", stderr: str = ""
) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda command, **_: subprocess.CompletedProcess(command, returncode, stdout, stderr)


def test_a_route_goes_through_a_host_on_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    network.route("198.18.128.0/26", "198.18.40.4")
    network.route("198.18.129.0/24", "198.18.40.5", mark=network.TABLES)
    network.unroute("198.18.128.0/26")
    network.ip("link", "show", namespace=7)
    assert [" ".join(command) for command in asked] == [
        "ip route replace 198.18.128.0/26 via 198.18.40.4 dev twinplane0 onlink protocol boot",
        "ip route replace 198.18.129.0/24 via 198.18.40.5 dev twinplane0 onlink protocol 86",
        "ip route delete 198.18.128.0/26 dev twinplane0",
        "nsenter --net=/proc/self/fd/7 ip link show",
    ]


def test_routes_are_known_by_their_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [{"dst": "198.18.129.0/24", "gateway": "198.18.40.5", "flags": ["onlink"]}]
    shown = json.dumps([*routes, {"dst": "198.18.1.1", "gateway": "198.18.40.6"}])
    monkeypatch.setattr(subprocess, "run", finished(stdout=shown))
    assert network.marked(network.TABLES) == {"198.18.129.0/24": "198.18.40.5", "198.18.1.1/32": "198.18.40.6"}
    own = [{"dst": "198.19.240.1", "scope": "link"}]  # an address of a load balancer, on this machine itself
    monkeypatch.setattr(subprocess, "run", finished(stdout=json.dumps([*routes, *own])))
    assert network.marked(network.UNMARKED) == {"198.18.129.0/24": "198.18.40.5"}
    monkeypatch.setattr(subprocess, "run", finished(1, stderr='Cannot find device "twinplane0"'))
    assert network.marked(network.TABLES) == {}


@pytest.mark.parametrize("cidr", ["10.0.0.0/24", "198.16.0.0/12", "198.20.0.0/24"])
def test_no_route_outside_the_lab(cidr: str) -> None:
    with pytest.raises(UsageError, match=r"is not in 198\.18\.0\.0/15"):
        network.route(cidr, "198.18.40.4")
    with pytest.raises(UsageError):
        network.unroute(cidr)


def test_what_is_already_gone_is_fine_and_other_errors_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", finished(2, stderr="RTNETLINK answers: No such process\n"))
    network.unroute("198.18.128.0/26")
    with pytest.raises(Failed, match="ip link show: RTNETLINK answers: No such process"):
        network.ip("link", "show")


OWN = """\
default via 192.0.2.1 dev eth0
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
unreachable 198.18.0.0/15 metric 4278198272
198.18.64.11 dev twinplane0 scope link
"""


@pytest.mark.parametrize(
    "line", ["198.18.5.0/24 dev eth1", "198.19.1.1 via 192.0.2.9 dev eth0", "198.18.0.0/15 dev tun0"]
)
def test_a_machine_that_uses_the_labs_addresses_is_told_so(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(subprocess, "run", finished(stdout=OWN))
    network._refuse_overlap()
    monkeypatch.setattr(subprocess, "run", finished(stdout=OWN + line))
    with pytest.raises(UsageError, match=r"already routes 198\.1[89]"):
        network._refuse_overlap()


def test_a_mac_address_follows_from_the_address() -> None:
    assert network.mac("198.18.64.11") == "02:00:c6:12:40:0b"


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


@pytest.mark.parametrize(
    ("name", "kind", "code", "addresses"),
    [
        ("ip-198-18-64-11.ec2.internal", 1, 0, ["198.18.64.11"]),
        ("IP-198-18-64-11.EC2.internal", 1, 0, ["198.18.64.11"]),
        ("ip-198-18-64-11.ec2.internal", 28, 0, []),
        ("ip-10-0-0-1.ec2.internal", 1, 3, []),
        ("ip-198-18-64-311.ec2.internal", 1, 3, []),
        ("kubernetes.io", 1, 3, []),
    ],
)
def test_private_names_are_answered_and_others_do_not_exist(
    name: str, kind: int, code: int, addresses: list[str]
) -> None:
    asked = query(name, kind)
    reply = resolver.answer(asked)
    identity, flags, questions, answers = struct.unpack("!HHHH", reply[:8])
    assert (identity, flags & 0x8100, flags & 0xF, questions, answers) == (0x1234, 0x8100, code, 1, len(addresses))
    assert reply[12 : len(asked)] == asked[12:]
    assert [socket.inet_ntoa(reply[-4:])] * answers == addresses


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: query("a.b")[:12] + tail))
def test_the_name_server_survives_any_datagram(datagram: bytes) -> None:
    try:
        reply = resolver.answer(datagram)
    except ValueError:
        return
    assert reply[:2] == datagram[:2]


def test_additional_records_of_a_query_are_not_repeated() -> None:
    asked = query("kubernetes.io")
    with_edns = asked[:10] + struct.pack("!H", 1) + asked[12:] + bytes([0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0])
    assert resolver.answer(with_edns) == resolver.answer(asked)


def test_the_proxy_serves_debian_and_nothing_else() -> None:
    sites = {"debian": "http://mirror.example/debian", "debian-security": "https://mirror.example/security"}
    lines = apt_proxy.configuration(sites, "http://proxy.example:3128", Path("/state")).splitlines()
    for line in (
        "BindAddress: 198.19.255.254",
        "Port: 3142",
        "ForceManaged: 1",
        "Proxy: http://proxy.example:3128",
        "Remap-debian: /debian ; http://mirror.example/debian",
        "Remap-debian-security: /debian-security ; https://mirror.example/security",
    ):
        assert line in lines
    assert not any(line.startswith("Proxy") for line in apt_proxy.configuration(sites, "", Path("/state")).splitlines())


def test_mirrors_are_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "bookworm http://one.example/debian/\nbookworm http://two.example/debian\n\n"
    monkeypatch.setattr(subprocess, "run", finished(stdout=listed + "bookworm-security http://one.example/security\n"))
    assert apt_proxy.mirrors() == {
        "debian": "http://one.example/debian",
        "debian-security": "http://one.example/security",
    }
    monkeypatch.setattr(subprocess, "run", finished(stdout=listed))
    with pytest.raises(UsageError, match=r"no mirror of bookworm-security \(main\)"):
        apt_proxy.mirrors()


def test_another_program_on_the_proxys_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt_proxy, "_answers", lambda: True)
    monkeypatch.setattr(apt_proxy.supervisor, "alive", lambda _: False)
    monkeypatch.setattr(apt_proxy.supervisor, "child", lambda _: None)
    with pytest.raises(UsageError, match="port 3142 is taken"):
        apt_proxy.up()
