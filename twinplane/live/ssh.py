"""The way into a stack's machines: SSH with the stack's key and the machines' pinned host keys."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from twinplane.errors import UsageError
from twinplane.inventory import known_hosts
from twinplane.live import tunnel
from twinplane.secret_tmpdir import MARK

PORT = 22
#: Seconds between two looks at who answers, and between two lines that say who does not.
EVERY, TOLD_EVERY = 0.5, 15.0
#: As in ansible.cfg: Ansible must not reach a machine that we do not, nor the other way round.
OPTIONS = ("StrictHostKeyChecking=yes", "BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=3")
#: Words of ssh that mean that waiting does not help.
ALARMS = ("Host key verification failed", "IDENTIFICATION HAS CHANGED")
#: Name of the file in a login's folder.
KNOWN_HOSTS = "known_hosts"

Machine = Mapping[str, str]


def check_key(private: str) -> None:
    """Raises UsageError for what ssh-agent would refuse, or ask a passphrase for."""
    if not private.strip().startswith("-----BEGIN ") or "PRIVATE KEY-----" not in private:
        raise UsageError("the request's sshPrivateKey is not a private key in OpenSSH's form")


@contextmanager
def agent(private: str, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Yields the socket of an ssh-agent that holds the key until the block ends, or until this process dies.

    `folder` is private, for the socket. Raises UsageError where the agent refuses the key.
    """
    path = str(folder / "agent")
    # The agent lives as long as the command that it starts, and that reads until our end of the pipe is closed.
    keeper = subprocess.Popen(
        ["ssh-agent", "-a", path, "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
    )
    try:
        end = time.monotonic() + 10
        while not Path(path).exists():
            if keeper.poll() is not None or time.monotonic() > end:
                raise UsageError("ssh-agent does not start: check that OpenSSH's client is installed")
            time.sleep(0.01)
        added = subprocess.run(
            ["ssh-add", "-q", "-"],
            input=private.strip() + "\n",
            env={**environment, "SSH_AUTH_SOCK": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if added.returncode:
            raise UsageError(f"the request's sshPrivateKey: {(added.stderr.strip().splitlines() or ['refused'])[-1]}")
        yield path
    finally:
        if keeper.stdin:
            keeper.stdin.close()
        keeper.wait()


@dataclass(frozen=True)
class Session:
    """Runs commands on machines. `options` are ssh's own; `environment` has the agent's socket."""

    user: str
    options: Sequence[str]
    environment: Mapping[str, str]

    def run(
        self, machine: Machine, *command: str, stdin: str = "", timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Returns the finished command; exit code 255 where SSH itself failed, with its reason in stderr."""
        options = [part for option in OPTIONS for part in ("-o", option)]
        argv = ["ssh", *options, *self.options, f"{self.user}@{machine['sshAddress']}", shlex.join(command)]
        try:
            return subprocess.run(
                argv,
                input=stdin,
                env=self.environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, 255, "", "no answer")

    def refusal(self, machine: Machine) -> str:
        """Returns what ssh says where the machine does not let us in; empty where it does."""
        done = self.run(machine, "true")
        return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""


@contextmanager
def login(
    machines: Sequence[Machine], user: str, private: str, folder: Path, environment: Mapping[str, str]
) -> Iterator[Session]:
    """Yields a session on the machines, as exported, with that private key until the block ends.

    `folder` is private. `environment` is the stack's, for the tunnels to its machines. Raises UsageError for what is no
    private key, and as tunnel.options.
    """
    check_key(private)
    options = ["-o", f"UserKnownHostsFile={folder}/{KNOWN_HOSTS}", "-o", "GlobalKnownHostsFile=/dev/null"]
    options += shlex.split(tunnel.options(machines, environment))
    pin(machines, folder)
    marked = {**environment, MARK: str(folder)}
    with agent(private, folder, marked) as path:
        yield Session(user, options, {**marked, "SSH_AUTH_SOCK": path})


def pin(machines: Sequence[Machine], folder: Path) -> None:
    """Has a login's session know the machines by the host keys that they have here, and no other."""
    (folder / KNOWN_HOSTS).write_text(known_hosts(machines))


def wait(
    machines: Sequence[Machine],
    seconds: float,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
    port: int = PORT,
    *,
    session: Session | None = None,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Waits until all answer as SSH servers do, and let the session in, at most that many seconds.

    Returns name -> one line for each machine that does not. A host key that is not the pinned one is not waited for.
    """
    end = time.monotonic() + seconds
    asked, lines, told = list(machines), dict[str, str](), 0.0
    user = session.user if session else ""
    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        while True:
            answers = list(pool.map(lambda machine: _ask(machine, port, session, environment), asked))
            refused = [(machine, reason) for machine, reason in zip(asked, answers, strict=True) if reason]
            final = {machine["name"] for machine, reason in refused if any(alarm in reason for alarm in ALARMS)}
            silent = {machine["name"]: explain(machine, user, reason) for machine, reason in refused}
            lines.update({name: line for name, line in silent.items() if name in final})
            asked = [machine for machine in asked if machine["name"] in silent and machine["name"] not in final]
            if not asked or time.monotonic() > end or cancelled():
                return {**lines, **silent}
            if time.monotonic() - told > TOLD_EVERY:
                left = "" if not told else f", at most {end - time.monotonic():.0f} s more"
                progress(f"waiting for SSH of {', '.join(machine['name'] for machine in asked)}{left}")
                told = time.monotonic()
            time.sleep(EVERY)


def explain(machine: Machine, user: str, message: str) -> str:
    """Returns one line: which machine did not let us in, why, and what to check. `message` is what ssh printed."""
    where = f"{machine['name']} at {machine['sshAddress']}"
    if any(alarm in message for alarm in ALARMS):
        return f"{where}: its SSH host key is not the pinned one: another machine answers there, or it was reinstalled"
    if "Permission denied" in message:
        return f"{where}: SSH refuses {user} with the stack's key: check that the machine was made with this key"
    reason = (message.strip().splitlines() or ["no answer"])[-1].removeprefix("Failed to connect to the host via ssh: ")
    if machine.get("sshTunnel"):
        return (
            f"{where}: no SSH ({reason}): check that the machine runs, and that you may ec2-instance-connect:OpenTunnel"
        )
    return f"{where}: no SSH ({reason}): check that the machine runs, and that sshCidrs and routes let this machine in"


def _ask(machine: Machine, port: int, session: Session | None, environment: Mapping[str, str]) -> str:
    """Returns the reason why the machine cannot be worked with; empty if it can."""
    try:
        if region := machine.get("sshTunnel"):
            said = tunnel.greeting(machine["sshAddress"], region, environment)
        else:
            with socket.create_connection((machine["sshAddress"], port), timeout=5) as connection:
                said = connection.recv(4).decode(errors="replace")
    except OSError as error:
        return str(error)
    if not said.startswith("SSH-"):
        return "something else answers"
    return session.refusal(machine) if session else ""
