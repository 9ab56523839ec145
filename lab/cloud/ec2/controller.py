"""Makes real what EC2 says: boots, stops, reboots and removes the host of each instance, and has what is made of hosts
follow them: routes that lead there, disks."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from lab.cloud.controller import Controller
from lab.cloud.ec2 import ec2
from lab.cloud.ec2.ec2 import Bootstrap, Machine
from lab.errors import UsageError

#: Host names that are instance ids: the controller's own. It leaves all other hosts alone.
INSTANCE = re.compile(r"i-[0-9a-f]{17}")
#: Endings of the operations that change what hosts, routes through them or their disks have to be.
CONCERN = ("Instances", "InstanceAttribute", "Route", "RouteTable", "Volume")
#: Tries to make a host before its instance is given up.
TRIES = 3
#: Hosts worked on at the same time; a boot is mostly waiting.
WORKERS = 6
#: Bytes of console output that EC2 keeps, the last ones.
CONSOLE = 64 * 1024

log = logging.getLogger(__name__)


class Host(Protocol):
    """What is asked of a host: the part of `lab.machines.host.Host` that is used here."""

    name: str
    directory: Path

    @property
    def state(self) -> str: ...
    @property
    def console(self) -> Path: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def reboot(self) -> None: ...
    def delete(self) -> None: ...


class Hosts(Protocol):
    """All hosts of the machine."""

    def __call__(self, name: str) -> Host: ...
    def all(self) -> Iterable[Host]: ...
    def create(
        self,
        name: str,
        *,
        address: str,
        image: str,
        hostname: str,
        user_data: bytes,
        ssh: bool,
        authorized_keys: Sequence[str],
        files: Mapping[str, tuple[bytes, int]],
        binds: Mapping[str, str],
    ) -> Host: ...


def console(hosts: Hosts, name: str) -> str:
    """Returns what an instance has printed to its console: as much as EC2 keeps."""
    path = hosts(name).console
    return path.read_bytes()[-CONSOLE:].decode(errors="replace") if path.exists() else ""


class InstanceController(Controller):
    """Makes the hosts of instances what EC2 says. What takes long is done in threads, never two things with one host.

    `bootstrap` returns what an instance's host is given before its first boot; it is asked without the API's lock, and
    answers from state on disk, since the daemon may have been restarted in between. `followers` make what is made of
    hosts.
    """

    SOON, LATER = 0.3, 3.0

    def __init__(
        self,
        hosts: Hosts,
        *followers: Callable[[], None],
        bootstrap: Callable[[Machine], Bootstrap | None] = lambda _: None,
    ) -> None:
        super().__init__("instances")
        self.hosts, self.followers, self.bootstrap = hosts, followers, bootstrap
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="host")
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        #: Instances that were asked to reboot and were not yet.
        self._reboots: set[str] = set()

    def noticed(self, action: str, form: Mapping[str, Sequence[str]], status: int) -> None:
        """Takes in a request of EC2 that may have changed something."""
        if status == HTTPStatus.OK and action == "RebootInstances":
            self._reboots.update(values[0] for name, values in form.items() if name.startswith("InstanceId."))
        if action.endswith(CONCERN):
            self.wake()

    def start(self) -> None:
        """Begins with one look, so that what runs is said to run; then works in the background."""
        for machine in ec2.machines():
            # What a daemon that was killed while it removed a host has left of it.
            if machine.wanted == "terminated" and (host := self.hosts(machine.id)).directory.exists():
                self._set_going(machine.id, host.delete)
        self._observe({host.name: host.state for host in self.hosts.all()})
        super().start()

    def stop(self) -> None:
        """Takes on nothing more; waits for what is being done, since half a boot helps nobody."""
        super().stop()
        self._pool.shutdown()

    def step(self) -> bool:
        """Looks once and sets going what is needed. Returns whether something is not yet where it is wanted."""
        hosts = {host.name: host for host in self.hosts.all() if INSTANCE.fullmatch(host.name)}
        states = {name: host.state for name, host in hosts.items()}
        self._observe(states)
        settled = True
        for machine in ec2.machines():
            host, state = hosts.pop(machine.id, None), states.get(machine.id, "absent")
            task = self._next(machine, host, state)
            if task:
                self._set_going(machine.id, task)
            settled = settled and task is None and machine.state in {"running", "stopped", "terminated"}
        for name, host in hosts.items():
            self._set_going(name, host.delete)
            settled = False
        for follow in self.followers:
            follow()
        return not settled

    def _observe(self, states: Mapping[str, str]) -> None:
        # A host that is being removed is listed no more before the last of it is gone.
        ec2.observe({**dict.fromkeys(self._busy.copy(), "stopped"), **states})

    def _next(self, machine: Machine, host: Host | None, state: str) -> Callable[[], None] | None:
        """Returns what has to be done with the host of a machine, if anything."""
        if machine.wanted == "terminated":
            return host.delete if host else None
        if machine.wanted == "stopped":
            return host.stop if host and state != "stopped" else None
        if machine.id in self._reboots and host and state == "running":
            return lambda: self._reboot(host)
        if host is None:
            return lambda: self._create(machine)
        # Also where it ran before and died, or was shut down from inside.
        return host.start if state == "stopped" else None

    def _create(self, machine: Machine) -> None:
        if not machine.release:
            raise UsageError("the lab cannot boot this image: it has only its own")
        extra = self.bootstrap(machine) or Bootstrap({}, {}, ssh=True)
        host = self.hosts.create(
            machine.id,
            address=machine.address,
            image=machine.release,
            hostname=machine.hostname,
            user_data=machine.user_data,
            ssh=extra.ssh,
            authorized_keys=machine.authorized_keys,
            files=extra.files,
            binds=extra.binds,
        )
        self._reboots.discard(machine.id)
        host.start()

    def _reboot(self, host: Host) -> None:
        self._reboots.discard(host.name)
        host.reboot()

    def _set_going(self, name: str, task: Callable[[], None]) -> None:
        if name not in self._busy and not self._over.is_set():
            self._busy.add(name)
            self._pool.submit(self._do, name, task)

    def _do(self, name: str, task: Callable[[], None]) -> None:
        try:
            task()
            self._failures.pop(name, None)
        except Exception as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            log.exception("host %s, try %d", name, failures)
            wrong = isinstance(error, UsageError)  # another try would meet the same
            self._over.wait(0 if wrong else min(failures, 10))
            machine = ec2.find(name)
            if (wrong or failures >= TRIES) and machine and machine.state == "pending":
                ec2.fail(name, str(error))
        finally:
            self._busy.discard(name)
            self.wake()
