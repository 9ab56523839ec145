"""Whether machines answer by SSH, and what to do when they do not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from twinplane import tunnel
from twinplane.errors import UsageError

PORT = 22


def check_key(private: str) -> None:
    """Raises UsageError for what ssh-agent would refuse, or ask a passphrase for."""
    if not private.strip().startswith("-----BEGIN ") or "PRIVATE KEY-----" not in private:
        raise UsageError("the request's sshPrivateKey is not a private key in OpenSSH's form")


def wait(
    machines: Sequence[Mapping[str, str]],
    seconds: float,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
    port: int = PORT,
    *,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Waits until all answer as SSH servers do, at most that long. -> name -> a line on each that does not."""
    end = time.monotonic() + seconds
    told = False
    asked = list(machines)
    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        while True:
            answers = list(pool.map(lambda machine: _ask(machine, port, environment), asked))
            silent = {
                machine["name"]: explain(machine, "", reason)
                for machine, reason in zip(asked, answers, strict=True)
                if reason
            }
            if not silent or time.monotonic() > end or cancelled():
                return silent
            asked = [machine for machine in asked if machine["name"] in silent]
            if not told:
                progress(f"waiting for SSH of {', '.join(silent)}")
                told = True
            time.sleep(0.5)


def explain(machine: Mapping[str, str], user: str, message: str) -> str:
    """-> one line: which machine did not let us in, why, and what to check. `message` is what ssh said."""
    where = f"{machine['name']} at {machine['sshAddress']}"
    if "Host key verification failed" in message or "IDENTIFICATION HAS CHANGED" in message:
        return f"{where}: its SSH host key is not the pinned one: another machine answers there, or it was reinstalled"
    if "Permission denied" in message:
        return f"{where}: SSH refuses {user} with the stack's key: check that the machine was made with this key"
    reason = (message.strip().splitlines() or ["no answer"])[-1].removeprefix("Failed to connect to the host via ssh: ")
    if machine.get("sshTunnel"):
        return (
            f"{where}: no SSH ({reason}): check that the machine runs, and that you may ec2-instance-connect:OpenTunnel"
        )
    return f"{where}: no SSH ({reason}): check that the machine runs, and that sshCidrs and routes let this machine in"


def _ask(machine: Mapping[str, str], port: int, environment: Mapping[str, str]) -> str | None:
    """-> None if an SSH server greets there, else what happened."""
    try:
        if region := machine.get("sshTunnel"):
            said = tunnel.greeting(machine["sshAddress"], region, environment)
            return None if said.startswith("SSH-") else "something else answers"
        with socket.create_connection((machine["sshAddress"], port), timeout=5) as connection:
            return None if connection.recv(4) == b"SSH-" else "something else answers"
    except OSError as error:
        return str(error)
