"""The lab's network: one bridge, the machine as the router of every lab host, and no way out.

Each host has a /32 address and one route, RANGE through FABRIC; the machine has one /32 route per live host. So a pod
CIDR is reached through its node by one more route of the machine, as in a VPC route table. What no route covers is
unreachable at once. Security groups and the isolation of VPCs are not enforced.
"""

import json
import os
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab.constants import BRIDGE, FABRIC, RANGE
from lab.errors import Failed, UsageError

#: Worse than every other route of the machine, better than none.
FALLBACK = ["unreachable", str(RANGE), "metric", "4278198272"]
#: Marks of routes, the kernel's "protocol" (https://man7.org/linux/man-pages/man8/ip-route.8.html): what says none, and
#: those of VPCs' route tables, a number that no routing daemon has.
UNMARKED, TABLES = "boot", "86"


def up() -> None:
    """Makes bridge, address, fallback route and forwarding. Idempotent. Needs root."""
    _refuse_overlap()
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        ip("link", "add", BRIDGE, "address", mac(FABRIC), "type", "bridge", accept="File exists")
    ip("address", "replace", f"{FABRIC}/32", "dev", BRIDGE)
    settings = Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}")
    (settings / "forwarding").write_text("1")
    (settings / "send_redirects").write_text("0")  # In and out are the same interface, and meant to be.
    if (ipv6 := Path(f"/proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6")).exists():
        ipv6.write_text("1")  # A link-local address would show hosts what the machine serves on ::.
    ip("link", "set", BRIDGE, "up")
    ip("route", "replace", *FALLBACK)


def down() -> None:
    """Removes everything that `up` and `route` made; settings and routes of the bridge end with it. Idempotent."""
    ip("link", "delete", BRIDGE, accept="Cannot find device")
    ip("route", "delete", *FALLBACK, accept="No such process")


def route(cidr: IPv4Network | str, via: IPv4Address | str, *, mark: str = UNMARKED) -> None:
    """Sends a network of the lab, such as a node's pod CIDR, through a host. Idempotent, replaces another `via`."""
    ip("route", "replace", _inside(cidr), "via", str(via), "dev", BRIDGE, "onlink", "protocol", mark)


def marked(mark: str) -> dict[str, str]:
    """Returns network -> the host that it goes through, of the routes through hosts with that mark."""
    shown = ip("-json", "-4", "route", "show", "dev", BRIDGE, "protocol", mark, accept="Cannot find device")
    return {str(IPv4Network(each["dst"])): each["gateway"] for each in json.loads(shown or "[]") if "gateway" in each}


def unroute(cidr: IPv4Network | str) -> None:
    """Removes a route made by `route`. One that is not there, or a bridge that is not there, is fine."""
    ip("route", "delete", _inside(cidr), "dev", BRIDGE, accept=("No such process", "Cannot find device"))


def own(address: IPv4Address | str) -> None:
    """Gives the machine one more address of the lab, such as a load balancer's. Idempotent; ends with `down`."""
    ip("address", "replace", _inside(f"{address}/32"), "dev", BRIDGE)


def disown(address: IPv4Address | str) -> None:
    """Takes back an address given by `own`. One that is not there is fine."""
    missing = ("Cannot assign", "Address not found", "Cannot find device")  # kernels put it their own way
    ip("address", "delete", _inside(f"{address}/32"), "dev", BRIDGE, accept=missing)


def attach(address: IPv4Address | str, link: str, machine: int) -> None:
    """Connects this process's network namespace with the bridge: `link` there, `host0` here with `address`.

    `machine` is an open handle of the machine's network namespace, where bridge and route are.
    """
    # The veth pair of an earlier boot goes away a moment after its processes.
    ip("link", "delete", link, accept="Cannot find device", namespace=machine)
    peer = ["type", "veth", "peer", "name", "host0", "address", mac(address), "netns", str(os.getpid())]
    ip("link", "add", link, *peer, namespace=machine)
    ip("link", "set", link, "master", BRIDGE, "up", namespace=machine)
    ip("route", "replace", f"{address}/32", "dev", BRIDGE, namespace=machine)
    for scope in ("all", "default"):  # The router sends redirects; they are not for a host to follow.
        Path(f"/proc/sys/net/ipv4/conf/{scope}/accept_redirects").write_text("0")
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{address}/32", "dev", "host0")
    ip("link", "set", "host0", "up")
    ip("route", "add", str(RANGE), "via", str(FABRIC), "dev", "host0", "onlink")


def detach(address: IPv4Address | str, link: str) -> None:
    """Removes what `attach` made on the machine's side. Idempotent."""
    ip("link", "delete", link, accept="Cannot find device")
    unroute(f"{address}/32")


def mac(address: IPv4Address | str) -> str:
    """The MAC address that belongs to a lab address: neighbours' caches stay right when a host boots again."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


def ip(*arguments: str, accept: str | tuple[str, ...] = (), namespace: int | None = None) -> str:
    """Runs `ip`, in another network namespace when given an open handle of it. Returns what it printed.

    Raises Failed with its message, unless that contains one of `accept`.
    """
    enter, handles = ([], []) if namespace is None else (["nsenter", f"--net=/proc/self/fd/{namespace}"], [namespace])
    done = subprocess.run([*enter, "ip", *arguments], pass_fds=handles, capture_output=True, text=True, check=False)
    accepted = (accept,) if isinstance(accept, str) else accept
    if done.returncode and not any(part in done.stderr for part in accepted):
        raise Failed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _inside(cidr: IPv4Network | str) -> str:
    network = IPv4Network(cidr)
    if not network.subnet_of(RANGE):
        raise UsageError(f"{network} is not in {RANGE}, the addresses of the lab")
    return str(network)


def _refuse_overlap() -> None:
    """The machine must not use the lab's addresses for anything else."""
    shown = subprocess.run(["ip", "-4", "-o", "route", "show"], capture_output=True, text=True, check=True).stdout
    for line in shown.splitlines():
        words = line.split()
        target = words[1] if words[0] == "unreachable" else words[0]
        if target == "default" or f"dev {BRIDGE}" in line or (words[0], target) == ("unreachable", str(RANGE)):
            continue
        try:
            network = IPv4Network(target, strict=False)
        except ValueError:
            continue
        if network.overlaps(RANGE) and network.prefixlen >= RANGE.prefixlen:
            raise UsageError(f"the machine already routes {network}, which the lab needs ({RANGE}): remove that route")
