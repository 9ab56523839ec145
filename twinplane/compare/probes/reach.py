"""What the network and the machines themselves tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twinplane.compare.probes.probe import Probe
from twinplane.compare.questions import Connect, Login, Tunnel

SSH_PORT = 22


def ssh_port(host: str, tunnel: str = "") -> Probe[str]:
    """The greeting of an SSH server, e.g. "SSH-2.0-OpenSSH_9.2p1"; unanswered where nothing listens.

    With a `tunnel`, the region of an EC2 Instance Connect Endpoint, `host` is the id of an instance.
    """
    return Probe("ssh_port", Tunnel(host, tunnel) if tunnel else Connect(host, SSH_PORT), str)


@dataclass(frozen=True)
class Process:
    """A process on a machine. `state` is the kernel's letter, `version` what its own file says."""

    name: str
    pid: int
    state: str
    version: str
    restarted_by: str

    @property
    def working(self) -> bool:
        """False when it is stopped (T, t), dead (X) or a zombie (Z)."""
        return self.state[:1] not in {"T", "t", "X", "Z"}


@dataclass(frozen=True)
class Machine:
    """A machine seen from inside, logged in by SSH with the pinned host key."""

    name: str
    os: str
    kernel: str
    booted: datetime
    #: Release of the image it was installed from; "" where the machine does not know.
    image_release: str
    #: Pending updates, and how many of them are security updates.
    updates: int
    security_updates: int
    reboot_required: bool
    #: Whether the machine installs security updates without being asked.
    unattended: bool
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class Logins:
    """Machines that the stack's owner logs in to, by the name that the stack gives them; why some did not answer."""

    machines: dict[str, Machine]
    failures: tuple[str, ...]


def machines() -> Probe[Logins]:
    """What the machines say that let us in."""
    return Probe("machines", Login(), _logins)


def _logins(answer: dict[str, Any]) -> Logins:
    found = {name: _machine(name, facts) for name, facts in answer["facts"].items()}
    return Logins(found, tuple(answer["failures"]))


def _machine(name: str, facts: dict[str, Any]) -> Machine:
    updates = facts["updates"]
    return Machine(
        name=name,
        os=facts["os"],
        kernel=facts["kernel"],
        booted=datetime.fromisoformat(facts["booted"]),
        image_release=facts["image_release"],
        updates=len(updates),
        security_updates=sum(each["security"] for each in updates),
        reboot_required=facts["reboot_required"],
        unattended=facts["unattended_upgrades"],
        processes=tuple(
            Process(each["name"], each["pid"], each["state"], each["version"], each["restarted_by"])
            for each in facts["processes"]
        ),
    )
