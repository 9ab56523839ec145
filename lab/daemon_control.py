"""Starts, looks at and stops the lab's daemon, which is another process."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any

from lab import constants, supervisor
from lab.cloud import api
from lab.errors import Failed, UsageError
from lab.machines import resolver
from lab.machines.host import Host

NAME = "daemon"


@cache
def code() -> str:
    """Returns a digest of the lab's modules, as this process found them."""
    digest = hashlib.sha256()
    for file in sorted((constants.PROJECT / "lab").rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def health() -> dict[str, Any] | None:
    """Returns what the daemon says of itself (`ready`, `pid`, `parts`, `failure`, `code`); None where none answers."""
    try:
        with urllib.request.urlopen(f"{constants.API_URL}/lab/health", timeout=5) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError):
        return None


def check_port() -> None:
    """Raises UsageError when another program than the lab's daemon has the port."""
    if health() is None and not supervisor.alive(NAME) and _listening():
        raise UsageError(port_taken())


def port_taken() -> str:
    """Returns what to tell whoever finds the port of the API in use."""
    port = constants.API_PORT
    return f"port {port} is taken by another program: see which with `ss -ltnp 'sport = :{port}'` and stop it"


def up(progress: Callable[[str], None], timeout: float = 300) -> None:
    """Starts the daemon and waits until it is ready: at once where it is already.

    A daemon of other code is replaced, and the name server with it, which would not know what this code's plugins ask
    for. Machines and clusters live on meanwhile; machines boot by this code next time.

    Raises UsageError when the port is taken, Failed when a part of the daemon does not start in `timeout` seconds.
    """
    check_port()
    api.credentials()
    if (running := health()) and running.get("code") != code():
        progress("replacing the daemon, which is of other code")
        supervisor.stop(NAME)
        resolver.renew()
        for host in Host.all():
            host.renew()
    supervisor.start(NAME, [sys.executable, "-m", "lab.daemon"])
    deadline, said = time.monotonic() + timeout, ""
    while True:
        state = health()
        if state and state["ready"]:
            return
        if state and state["failure"]:
            raise Failed(f"the lab's daemon cannot start: {state['failure']}; see {supervisor.log_file(NAME)}")
        if state is None and _listening() and supervisor.child(NAME) is None:
            supervisor.stop(NAME)
            raise UsageError(port_taken())
        if time.monotonic() > deadline:
            raise Failed(f"the lab's daemon is not ready after {timeout:.0f} s; see {supervisor.log_file(NAME)}")
        waiting = ", ".join(name for name, works in state["parts"].items() if not works) if state else "the daemon"
        if waiting != said:
            progress(f"waiting for {waiting}")
            said = waiting
        time.sleep(0.2)


def down() -> None:
    """Stops the daemon, whoever started it."""
    supervisor.stop(NAME)


def _listening() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", constants.API_PORT)) == 0
