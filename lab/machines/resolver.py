"""The name server of the lab's network, on FABRIC, as a VPC has one.

It knows the private names of EC2 and those of the lab's load balancers, and no others.

Without it every lookup of a name outside would cost its asker a timeout.
"""

import re
import socket
import struct
import sys
from ipaddress import IPv4Address

from lab import supervisor
from lab.constants import FABRIC, RANGE
from lab.machines import names

NAME = "resolver"
PORT = 53
#: Private DNS names of EC2 in us-east-1.
PRIVATE = re.compile(r"ip-(\d+)-(\d+)-(\d+)-(\d+)\.ec2\.internal", re.IGNORECASE)
TTL = 60
TYPE_A, CLASS_IN, NXDOMAIN = 1, 1, 3


def up() -> None:
    """Starts the name server under a supervisor. Idempotent. Needs the network."""
    supervisor.start(NAME, [sys.executable, "-m", "lab.machines.resolver"])


def renew() -> None:
    """Starts it again, of this code, where it runs."""
    if supervisor.alive(NAME):
        down()
        up()


def down() -> None:
    """Stops it. Idempotent."""
    supervisor.stop(NAME, grace=5)


def answer(query: bytes) -> bytes:
    """The reply to one DNS message. Raises ValueError for anything but a standard query with one question."""
    if len(query) < 12:
        raise ValueError("no DNS header")
    identity, flags, questions = struct.unpack("!HHH", query[:6])
    if flags & 0xF800 or questions != 1:
        raise ValueError("not a standard query with one question")
    name, end = _name(query, 12)
    kind, klass = struct.unpack_from("!HH", query, end)
    question = query[12 : end + 4]
    address = _address(name)
    found = address is not None and kind == TYPE_A and klass == CLASS_IN
    record = struct.pack("!HHHIH", 0xC00C, TYPE_A, CLASS_IN, TTL, 4) + address.packed if address and found else b""
    code = 0 if address else NXDOMAIN
    # Response, authoritative, recursion desired as asked, recursion available.
    header = struct.pack("!HHHHHH", identity, 0x8480 | (flags & 0x0100) | code, 1, int(bool(record)), 0, 0)
    return header + question + record


def _name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := message[at] if at < len(message) else 64:
        if length > 63 or at + length >= len(message):
            raise ValueError("bad name")
        labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    if at + 5 > len(message):
        raise ValueError("no question")
    return ".".join(labels), at + 1


def _address(name: str) -> IPv4Address | None:
    match = PRIVATE.fullmatch(name)
    told = ".".join(match.groups()) if match else names.known().get(name.lower(), "")
    try:
        address = IPv4Address(told)
    except ValueError:
        return None
    return address if address in RANGE else None


def serve() -> None:
    """Answers for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((str(FABRIC), PORT))
        while True:
            query, client = server.recvfrom(512)
            try:
                server.sendto(answer(query), client)
            except (ValueError, OSError):
                continue


if __name__ == "__main__":
    serve()
