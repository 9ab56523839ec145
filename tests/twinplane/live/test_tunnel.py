"""The AWS CLI that opens tunnels: found or missed, what ssh is told, and what a machine says through one."""

import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import aws_cli
from tests.support.machines import MACHINES
from tests.support.ssh_server import greet
from twinplane.errors import UsageError
from twinplane.live import ssh, tunnel

TUNNELLED = [{**each, "sshAddress": each["instanceId"], "sshTunnel": "eu-west-1"} for each in MACHINES]


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    for folder in folders:
        folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", os.pathsep.join(str(folder) for folder in folders))


def test_an_old_one_in_front_of_it_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    path(monkeypatch, old, tmp_path / "none", new)
    aws_cli.install(old, version="1.46.3")
    aws_cli.install(new, version="2.12.0")
    assert tunnel.program() == str(new / "aws")


@pytest.mark.parametrize("version", ["1.46.3", "2.11.27"])
def test_one_that_is_too_old_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    path(monkeypatch, tmp_path / "bin")
    aws_cli.install(tmp_path / "bin", version=version)
    with pytest.raises(UsageError) as error:
        tunnel.program()
    for words in (f"{tmp_path}/bin/aws is {version}", "2.12.0 or newer", "install version 2", "sshVia: cidrs"):
        assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_none_at_all_and_another_program_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path(monkeypatch, tmp_path / "bin")
    with pytest.raises(UsageError, match="there is none in PATH"):
        tunnel.program()
    (tmp_path / "bin" / "aws").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "bin" / "aws").chmod(0o755)
    with pytest.raises(UsageError, match="aws is no AWS CLI"):
        tunnel.program()


def test_ssh_is_told_the_whole_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a b%"
    path(monkeypatch, folder)
    aws_cli.install(folder)
    flag, option = shlex.split(tunnel.options(TUNNELLED))
    name, _, value = option.partition("=")
    assert (flag, name) == ("-o", "ProxyCommand")
    # As ssh reads it: %% is a percent sign, %h the host.
    assert shlex.split(value.replace("%h", "i-1").replace("%%", "%")) == [
        str(folder / "aws"), "ec2-instance-connect", "open-tunnel", "--instance-id", "i-1", "--region", "eu-west-1",
    ]  # fmt: skip
    assert tunnel.options(MACHINES) == ""
    with pytest.raises(UsageError, match="sshTunnel differs"):
        tunnel.options([*MACHINES[:1], *TUNNELLED[1:]])


def test_a_greeting_comes_through_the_tunnel(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = greet(server, b"SSH-2.0-x\r\n", b"HTTP\r\n")
    path(monkeypatch, tmp_path / "bin")
    log = aws_cli.install(tmp_path / "bin", {"i-1": ("127.0.0.1", port)})
    assert tunnel.greeting("i-1", "eu-west-1") == "SSH-2.0-x"
    assert aws_cli.calls(log)[-1][2:] == ["--instance-id", "i-1", "--region", "eu-west-1"]
    assert "something else answers" in ssh.wait(TUNNELLED[:1], 0, lambda _: None, lambda: False)["control-plane-1"]


def test_a_tunnel_is_of_the_environment_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path(monkeypatch, tmp_path / "none")
    monkeypatch.setenv("AWS_PROFILE", "the caller's")
    (tmp_path / "aws").write_text(
        '#!/bin/sh\ntest "$1" = --version && echo aws-cli/2.31.0 || echo "SSH-2.0-$AWS_PROFILE"\n'
    )
    (tmp_path / "aws").chmod(0o755)
    its = {"PATH": str(tmp_path), "AWS_PROFILE": "its-own"}
    assert tunnel.greeting("i-1", "eu-west-1", its) == "SSH-2.0-its-own"
    assert f"{tmp_path}/aws" in tunnel.options(TUNNELLED, its)
    assert ssh.wait(TUNNELLED[:1], 0, lambda _: None, lambda: False, environment=its) == {}
    with pytest.raises(UsageError, match="there is none in PATH"):
        tunnel.options(TUNNELLED)


def test_a_tunnel_that_does_not_open_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path(monkeypatch, tmp_path / "bin")
    aws_cli.install(tmp_path / "bin")
    silent = ssh.wait(TUNNELLED[:1], 0, lambda _: None, lambda: False)
    for words in ("control-plane-1 at i-1", "(InvalidInstanceID.NotFound): i-1", "ec2-instance-connect:OpenTunnel"):
        assert words in silent["control-plane-1"]


def test_a_silent_tunnel_ends(server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path(monkeypatch, tmp_path / "bin")
    aws_cli.install(tmp_path / "bin", {"i-1": server.getsockname()})
    monkeypatch.setattr(tunnel, "TIMEOUT", 0.2)
    with pytest.raises(OSError, match="no answer"):
        tunnel.greeting("i-1", "eu-west-1")
    assert not subprocess.run(["pgrep", "-f", str(tmp_path / "bin")], check=False, env={"PATH": "/usr/bin"}).stdout
