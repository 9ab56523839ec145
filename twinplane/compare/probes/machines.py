"""What the machines themselves tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twinplane.compare.probes.certificate import Certificate
from twinplane.compare.probes.probe import Probe
from twinplane.questions import Login


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
class Unit:
    """A unit of systemd, in systemd's words: e.g. loaded, activating, auto-restart, exit-code, and the exit status."""

    load: str
    active: str
    sub: str
    result: str
    status: str

    @property
    def stopped(self) -> str:
        """Returns why it does not run; "" when it does."""
        if self.active == "active":
            return ""
        if self.load != "loaded":
            return f"systemd: {self.load}"
        failed = f", {self.result}, status {self.status}" if self.result != "success" else ""
        return f"systemd: {self.active} ({self.sub}{failed})"


@dataclass(frozen=True)
class Disk:
    """A file system: bytes in all, bytes free."""

    size: int
    free: int


@dataclass(frozen=True)
class Etcd:
    """What a machine's etcd says past the API server. `initialized`: it holds what `kubeadm init` wrote."""

    cluster: str
    revision: int
    initialized: bool


@dataclass(frozen=True)
class Inside:
    """A machine seen from inside, logged in by SSH with the pinned host key."""

    name: str
    os: str
    kernel: str
    booted: datetime
    #: Release of the image it was installed from; "" where the machine does not know.
    image_release: str
    #: Pending updates, how many of them are security updates, and how many an administrator holds back.
    updates: int
    security_updates: int
    held: int
    #: Why the updates are not known; "" where they are.
    updates_error: str
    #: Packages that an interrupted dpkg left half installed.
    unfinished: tuple[str, ...]
    #: Why it should be rebooted.
    reboot_reasons: tuple[str, ...]
    #: Whether the machine installs security updates without being asked.
    unattended: bool
    processes: tuple[Process, ...]
    #: Names of the static pods that the kubelet is asked to run.
    manifests: tuple[str, ...]
    kubelet: Unit
    certificates: tuple[Certificate, ...]
    #: By path.
    disks: dict[str, Disk]
    #: The range that it gives its pods addresses from; "" where it was given none.
    pod_range: str
    #: None where none answers.
    etcd: Etcd | None


@dataclass(frozen=True)
class Logins:
    """Machines that the stack's owner logs in to, by the name that the stack gives them; why some did not answer."""

    machines: dict[str, Inside]
    failures: tuple[str, ...]

    def reason(self, name: str) -> str:
        """Returns why a machine did not let us in: the line that begins with its name, without it."""
        own = [line for line in self.failures if line.split(maxsplit=1)[0].rstrip(":") == name]
        return "; ".join(line[len(name) :].lstrip(": ") for line in own) or "; ".join(self.failures) or "no answer"


def probe() -> Probe[Logins]:
    """What the machines say that let us in."""
    return Probe("machines", Login(), _logins)


def _logins(answer: dict[str, Any]) -> Logins:
    found = {name: _machine(name, facts) for name, facts in answer["facts"].items()}
    return Logins(found, tuple(answer["failures"]))


def _machine(name: str, facts: dict[str, Any]) -> Inside:
    updates = facts["updates"]
    return Inside(
        name=name,
        os=facts["os"],
        kernel=facts["kernel"],
        booted=datetime.fromisoformat(facts["booted"]),
        image_release=facts["image_release"],
        updates=len(updates),
        security_updates=sum(each["security"] for each in updates),
        held=sum(each["held"] for each in updates),
        updates_error=facts["updates_error"],
        unfinished=tuple(facts["unfinished"]),
        reboot_reasons=tuple(facts["reboot_reasons"]),
        unattended=facts["unattended_upgrades"],
        processes=tuple(
            Process(each["name"], each["pid"], each["state"], each["version"], each["restarted_by"])
            for each in facts["processes"]
        ),
        manifests=tuple(facts["static_pods"]),
        kubelet=Unit(**facts["kubelet"]),
        certificates=tuple(
            Certificate(
                name=each["path"],
                subject=each["subject"],
                expires=datetime.fromisoformat(each["expires"]) if each["expires"] else None,
                authority=each["authority"],
            )
            for each in facts["certificates"]
        ),
        disks={path: Disk(**each) for path, each in facts["disks"].items()},
        pod_range=facts["pod_range"],
        etcd=Etcd(**facts["etcd"]) if facts["etcd"] else None,
    )
