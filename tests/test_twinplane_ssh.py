"""Who answers by SSH, and what is said of who does not."""

import socket
import threading
from collections.abc import Iterator

import pytest

from twinplane import ssh
from twinplane.errors import UsageError

MACHINE = {"name": "worker-1", "sshAddress": "127.0.0.1"}


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def greet(listening: socket.socket, *greetings: bytes) -> int:
    """Answers one connection with each greeting. -> its port."""

    def answer() -> None:
        for greeting in greetings:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(greeting)

    threading.Thread(target=answer, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


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
