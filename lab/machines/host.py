"""One host of the lab: a Debian 12 system with an address of its own, from creation to removal."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import ClassVar, Literal

from lab import supervisor
from lab.constants import RANGE, STATE
from lab.errors import Failed, UsageError
from lab.machines import host_image, kernel, network, resolver
from lab.machines.cgroup import Cgroup
from lab.machines.disk import Disk
from lab.machines.volume import Volume

State = Literal["absent", "stopped", "booting", "running"]


@dataclass(frozen=True)
class Spec:
    """What a host was created with. `layers` are image directories, topmost first; `binds` host path -> guest path."""

    name: str
    address: str
    hostname: str
    layers: list[str]
    ssh: bool = True
    binds: dict[str, str] = field(default_factory=dict)


class Host:
    """A host by its name, whether it exists or not."""

    #: Directories of a real file system: overlayfs cannot lie on overlayfs.
    VOLUMES: ClassVar = ("/var/lib/containerd",)
    #: Made by the guest at the end of its boot, removed when it begins to shut down.
    READY: ClassVar = "run/lab-ready"

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = STATE / "hosts" / name
        self.upper, self.root = self.directory / "upper", self.directory / "root"
        self.unit = f"host-{name}"

    @classmethod
    def all(cls) -> "list[Host]":
        """Every host that exists, by name."""
        return [cls(path.parent.name) for path in sorted((STATE / "hosts").glob("[!.]*/spec.json"))]

    @classmethod
    def remains(cls) -> "list[Host]":
        """Hosts that do not exist, but of which something is left: files half made or half removed, or processes."""
        directories = {path.name.lstrip(".") for path in (STATE / "hosts").glob("*")}
        hosts = (cls(name) for name in sorted(directories | Cgroup.names()))
        return [host for host in hosts if not host.exists]

    @classmethod
    def create(
        cls,
        name: str,
        *,
        address: IPv4Address | str,
        image: Path | str,
        hostname: str,
        user_data: bytes = b"",
        ssh: bool = True,
        authorized_keys: Iterable[str] = (),
        files: Mapping[str, tuple[bytes, int]] | None = None,
        binds: Mapping[str, str] | None = None,
    ) -> "Host":
        """Makes a host, stopped; one that exists already with the same properties is returned as it is.

        `image` is a release (built if missing) or the directory of a root file system. `user_data` is cloud-init's;
        the SSH host key is the one in its `ssh_keys`, or made at the first boot. `authorized_keys` are for `admin`.
        `files` maps guest paths to content and mode; `binds` maps paths of the machine to read-only guest paths.
        Raises UsageError for an address outside the lab or in use by another host.
        """
        host = cls(name)
        _check_address(name, IPv4Address(address))
        layers = [image] if isinstance(image, Path) else host_image.layers(image)
        spec = Spec(name, str(address), hostname, [str(layer) for layer in layers], ssh, dict(binds or {}))
        if host.exists:
            if host.spec != spec:
                raise Failed(f"host {name} exists with other properties: delete it first")
            return host
        partial = host.directory.with_name(f".{name}")
        for interrupted in (partial, host.directory):  # A creation; a removal, which takes spec.json first.
            shutil.rmtree(interrupted, ignore_errors=True)
        for directory in ("upper", "work", "root", *(f"volumes{path}" for path in cls.VOLUMES)):
            (partial / directory).mkdir(parents=True)
        STATE.chmod(0o700)
        disk = Disk(partial / "upper", layers)
        disk.identity(name, spec.address, hostname, user_data, list(authorized_keys))
        for path, (content, mode) in (files or {}).items():
            disk.write(path, content, mode)
        if not ssh:
            disk.link("/etc/systemd/system/ssh.service", "/dev/null")
        (partial / "spec.json").write_text(json.dumps(asdict(spec)))
        partial.rename(host.directory)
        return host

    @property
    def exists(self) -> bool:
        return (self.directory / "spec.json").exists()

    @property
    def spec(self) -> Spec:
        """Raises UsageError for a host that does not exist."""
        try:
            return Spec(**json.loads((self.directory / "spec.json").read_text()))
        except FileNotFoundError:
            raise UsageError(f"there is no host {self.name}") from None

    @property
    def link(self) -> str:
        """The machine's end of the host's veth pair: at most 15 characters, one per address."""
        return f"tp{int(IPv4Address(self.spec.address)):08x}"

    @property
    def leader(self) -> int | None:
        """The process id of the guest's init, None while there is none."""
        nspawn = supervisor.child(self.unit)
        try:
            children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text() if nspawn else ""
        except (FileNotFoundError, ProcessLookupError):
            return None
        return int(children.split()[-1]) if children.split() else None

    @property
    def state(self) -> State:
        """`running` once the guest's boot is finished: logins possible, cloud-init's first stage done."""
        if not self.exists:
            return "absent"
        leader = self.leader
        if leader and Path(f"/proc/{leader}/root", self.READY).exists():
            return "running"
        return "booting" if leader or supervisor.alive(self.unit) else "stopped"

    @property
    def host_key(self) -> str | None:
        """The public SSH host key, `ssh-ed25519 AAAA...`, read from the host's disk; None before its first boot."""
        try:
            return " ".join((self.upper / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])
        except FileNotFoundError:
            return None

    @property
    def console(self) -> Path:
        """The log of the guest's console and of its supervisor."""
        return supervisor.log_file(self.unit)

    def volume(self, path: str) -> Path:
        """The directory of the machine that is `path` in the guest."""
        return self.directory / f"volumes{path}"

    @property
    def disks(self) -> list[Volume]:
        """The volumes that were plugged in, by id."""
        return [Volume(path.name) for path in sorted((self.directory / "disks").glob("*"))]

    def plug(self, volume: Volume) -> None:
        """Gives the host a disk: at once if it runs, and at each boot. One that is still in use elsewhere waits for
        the next call. Idempotent. Raises Failed where the kernel gives no loop device."""
        mark = self.directory / "disks" / volume.id
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
        if self.state == "running" and (loop := volume.open()):
            volume.show(Path(f"/proc/{self._leader()}/root"), loop)

    def unplug(self, volume: Volume) -> None:
        """Takes a disk away; what is mounted of it stays until it is unmounted. A host that boots keeps it until the
        next call, as nobody knows whether it has seen it. Idempotent."""
        if (state := self.state) == "booting":
            return
        if state == "running":
            volume.hide(Path(f"/proc/{self._leader()}/root"))
        volume.close()
        (self.directory / "disks" / volume.id).unlink(missing_ok=True)

    def start(self) -> None:
        """Boots the host and returns at once; from now on it also comes back after a reboot or a crash. Idempotent."""
        _ = self.spec
        kernel.up()
        network.up()
        resolver.up()
        supervisor.start(self.unit, self._boot)

    def renew(self) -> None:
        """Lets this code boot the host next time, where older code started it. The host runs on."""
        supervisor.hand_over(self.unit, self._boot)

    def stop(self, grace: float = 30.0) -> None:
        """Shuts the guest down in order, after `grace` seconds by force. The disk stays. Idempotent."""
        supervisor.stop(self.unit, grace)
        cgroup = Cgroup(self.name)
        cgroup.kill()
        cgroup.remove()
        if self.exists:
            network.detach(self.spec.address, self.link)

    def reboot(self) -> None:
        """Asks the guest to reboot in order and returns at once; the state is `booting` until it is back."""
        leader = self._leader()
        Path(f"/proc/{leader}/root", self.READY).unlink(missing_ok=True)
        os.kill(leader, signal.SIGINT)  # To init: ctrl-alt-del.target, which is reboot.target.

    def delete(self) -> None:
        """Ends the host by force and removes all of it. Idempotent, and right after any interruption."""
        self.stop(grace=0)
        shutil.rmtree(self.directory.with_name(f".{self.name}"), ignore_errors=True)
        if self.directory.exists():
            (self.directory / "spec.json").unlink(missing_ok=True)
            with suppress(FileNotFoundError):  # Someone else deletes it too.
                shutil.rmtree(self.directory)
        self.console.unlink(missing_ok=True)
        supervisor.pid_file(self.unit).with_suffix(".lock").unlink(missing_ok=True)

    def run(self, *argv: str, input: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a command as root in the guest. Raises Failed when the guest is not up; the exit code is not checked."""
        command = ["nsenter", f"--target={self._leader()}", "--all", "--", *argv]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        return subprocess.run(
            command, input=input if input is not None else "", env=environment, timeout=timeout,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Writes a file of the guest, whole or not at all, owned by root; the directory is made if missing."""
        if self.state == "stopped":
            Disk(self.upper, [Path(layer) for layer in self.spec.layers]).write(path, data, mode)
            return
        script = 'mkdir -p "${1%/*}" && umask 077 && cat >"$1.new" && chmod "$2" "$1.new" && mv "$1.new" "$1"'
        command = ["nsenter", f"--target={self._leader()}", "--all", "--", "sh", "-c", script, "sh", path, f"{mode:o}"]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode:
            raise Failed(f"cannot write {path} on {self.name}: {done.stderr.decode(errors='replace').strip()}")

    @property
    def _boot(self) -> list[str]:
        return [sys.executable, "-m", "lab.machines.boot", self.name]

    def _leader(self) -> int:
        leader = self.leader
        if leader is None:
            raise Failed(f"host {self.name} is {self.state}, not running")
        return leader


def _check_address(name: str, address: IPv4Address) -> None:
    if address not in RANGE:
        raise UsageError(f"host {name}: address {address} is not in {RANGE}, the addresses of the lab")
    for other in Host.all():
        if other.name != name and other.spec.address == str(address):
            raise UsageError(f"host {name}: address {address} belongs to host {other.name}")
