"""Who answers by SSH, and what is said of who does not."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ssh_server import greet
from twinplane.errors import UsageError
from twinplane.live import ssh

MACHINE = {"name": "worker-1", "sshAddress": "127.0.0.1"}


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_an_ssh_server_is_found_once_it_greets(server: socket.socket) -> None:
    lines: list[str] = []
    port = greet(server, b"HTTP", b"SSH-2.0-x\r\n")
    assert ssh.wait([MACHINE], 5, lines.append, lambda: False, port) == {}
    assert lines == ["waiting for SSH of worker-1"]


def test_silence_names_machine_address_and_what_to_check(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    silent = ssh.wait([MACHINE], 0, lambda _: None, lambda: False, port)
    assert set(silent) == {"worker-1"}
    for word in ("worker-1", "127.0.0.1", "refused", "check", "sshCidrs"):
        assert word in silent["worker-1"]


def test_a_cancelled_wait_ends(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    assert ssh.wait([MACHINE], 600, lambda _: None, lambda: True, port)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Host key verification failed.", "not the pinned one"),
        ("admin@127.0.0.1: Permission denied (publickey).", "refuses admin"),
        ("Failed to connect to the host via ssh: ssh: connect: No route to host", "No route to host"),
    ],
)
def test_ssh_errors_become_one_line(said: str, words: str) -> None:
    line = ssh.explain(MACHINE, "admin", said)
    assert words in line
    assert line.startswith("worker-1 at 127.0.0.1: ")
    assert "\n" not in line


def test_only_a_private_key_goes_to_the_agent() -> None:
    ssh.check_key("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(UsageError, match="sshPrivateKey"):
        ssh.check_key("ssh-ed25519 AAAA")


class Refusing:
    """A session whose machines answer what they are told to."""

    user = "admin"

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)

    def refusal(self, _: object) -> str:
        return self.reasons.pop(0)


def test_a_machine_that_greets_must_let_us_in(server: socket.socket) -> None:
    port = greet(server, b"SSH-2.0-x", b"SSH-2.0-x")
    session = Refusing("Permission denied (publickey).", "")
    assert ssh.wait([MACHINE], 5, lambda _: None, lambda: False, port, session=session) == {}  # type: ignore[arg-type]


def test_a_replaced_host_key_is_not_waited_for(server: socket.socket) -> None:
    port = greet(server, b"SSH-2.0-x")
    session = Refusing("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.")
    silent = ssh.wait([MACHINE], 600, lambda _: None, lambda: False, port, session=session)  # type: ignore[arg-type]
    assert "its SSH host key is not the pinned one" in silent["worker-1"]


def test_the_agent_holds_the_key_until_the_end(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    private, public = (tmp_path / "key").read_text(), (tmp_path / "key.pub").read_text()
    with ssh.agent(private, tmp_path, os.environ) as path:
        environment = {**os.environ, "SSH_AUTH_SOCK": path}
        held = subprocess.run(["ssh-add", "-L"], env=environment, capture_output=True, text=True, check=True).stdout
        assert public.split()[1] in held
    assert subprocess.run(["ssh-add", "-L"], env=environment, capture_output=True, check=False).returncode != 0


def test_a_key_that_the_agent_refuses_is_named(tmp_path: Path) -> None:
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"
    with pytest.raises(UsageError, match="sshPrivateKey"), ssh.agent(text, tmp_path, os.environ):
        pytest.fail("it was taken")
