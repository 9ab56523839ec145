"""Makes real what EC2 says: boots, stops, reboots and removes the host of each instance, and has what is made of hosts
follow them: routes that lead there, disks."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from lab.cloud.ec2 import ec2
from lab.cloud.ec2.ec2 import Bootstrap, Machine
from twinplane.errors import UsageError

#: Host names that are instance ids: the reconciler's own. It leaves all other hosts alone.
INSTANCE = re.compile(r"i-[0-9a-f]{17}")
#: Seconds between two looks at the hosts: while one is on its way somewhere, and else.
SOON, LATER = 0.3, 3.0
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


class Reconciler:
    """A loop in one thread; what takes long is done in a few others, never two things with one host."""

    def __init__(self, hosts: Hosts, *followers: Callable[[], None]) -> None:
        self.hosts, self.followers = hosts, followers
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="host")
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self) -> None:
        """Begins with one look, so that what runs is said to run; then works in the background."""
        ec2.console = self._console
        for machine in ec2.machines():
            # What a daemon that was killed while it removed a host has left of it.
            if machine.wanted == "terminated" and (host := self.hosts(machine.id)).directory.exists():
                self._set_going(machine.id, host.delete)
        self._observe({host.name: host.state for host in self.hosts.all()})
        self._thread.start()

    def stop(self) -> None:
        """Takes on nothing more; waits for what is being done, since half a boot helps nobody."""
        self._over.set()
        ec2.changed.set()
        self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._over.is_set():
            ec2.changed.clear()
            try:
                settled = self.step()
            except Exception:
                log.exception("looking at the hosts")
                settled = True
            ec2.changed.wait(LATER if settled else SOON)

    def step(self) -> bool:
        """Looks once and sets going what is needed. -> whether everything is where it is wanted."""
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
        return settled

    def _observe(self, states: Mapping[str, str]) -> None:
        # A host that is being removed is listed no more before the last of it is gone.
        ec2.observe({**dict.fromkeys(self._busy.copy(), "stopped"), **states})

    def _console(self, name: str) -> str:
        path = self.hosts(name).console
        return path.read_bytes()[-CONSOLE:].decode(errors="replace") if path.exists() else ""

    def _next(self, machine: Machine, host: Host | None, state: str) -> Callable[[], None] | None:
        """-> what has to be done with the host of a machine, if anything."""
        if machine.wanted == "terminated":
            return host.delete if host else None
        if machine.wanted == "stopped":
            return host.stop if host and state != "stopped" else None
        if machine.id in ec2.reboots and host and state == "running":
            return lambda: self._reboot(host)
        if host is None:
            return lambda: self._create(machine)
        # Also where it ran before and died, or was shut down from inside.
        return host.start if state == "stopped" else None

    def _create(self, machine: Machine) -> None:
        if not machine.release:
            raise UsageError("the lab cannot boot this image: it has only its own")
        extra = next((answer for ask in ec2.bootstraps if (answer := ask(machine))), Bootstrap({}, {}, ssh=True))
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
        ec2.reboots.discard(machine.id)
        host.start()

    def _reboot(self, host: Host) -> None:
        ec2.reboots.discard(host.name)
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
            ec2.changed.set()
