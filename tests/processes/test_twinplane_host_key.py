"""A machine makes its own SSH host key: real agent, keys and scripts, and in place of sshd what it does with keys."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import aws_cli
from tests.test_twinplane_inventory import machine as exported
from twinplane import host_key
from twinplane.errors import UsageError
from twinplane.keys import key_pair

WORKER = {**exported("worker-1", "worker", 1), "sshAddress": "i-1", "sshTunnel": "eu-west-1"}
#: As sshd: it has the keys that were there at its last reload, and a client goes on that knows one of them.
SSH = """\
#!/bin/sh
for argument; do
    case $argument in UserKnownHostsFile=*) known=${{argument#*=}} ;; esac
done
read -r address key < "$known"
echo "$address $key: $argument" >> {folder}/asked
grep -qxF "$key" {folder}/served || {{ echo "Host key verification failed." >&2; exit 255; }}
PATH={folder}/machine:$PATH
eval "$argument"
"""
SUDO = '#!/bin/sh\nsed s,/etc/ssh,{folder}/etc,g | "$@"\n'
SYSTEMCTL = '#!/bin/sh\ntest "$*" = "reload ssh" && cut -d" " -f1,2 {folder}/etc/*.pub > {folder}/served\n'


@dataclass(frozen=True)
class Machine:
    """A machine behind a tunnel, with the host key of its user data."""

    folder: Path
    first: str
    environment: dict[str, str]
    login: str

    @property
    def request(self) -> dict[str, Any]:
        known = {**WORKER, "hostKey": self.first}
        return {"machine": known, "sshUser": "admin", "sshPrivateKey": self.login}

    def key(self, kind: str = "ed25519") -> str:
        """The public half of a key that it has on its disk."""
        return " ".join((self.folder / "etc" / f"ssh_host_{kind}_key.pub").read_text().split()[:2])

    @property
    def served(self) -> set[str]:
        return set((self.folder / "served").read_text().splitlines())

    @property
    def asked(self) -> list[str]:
        """Address, pinned key and command of each connection."""
        log = self.folder / "asked"
        return log.read_text().splitlines() if log.exists() else []

    def own(self, **environment: str) -> dict[str, str]:
        return host_key.own(self.request, environment={**self.environment, **environment})


@pytest.fixture
def port() -> Iterator[int]:
    """Somebody greets there as SSH servers do."""

    def greet() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"SSH-2.0-x\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=greet, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def booted(folder: Path, port: int, kind: str, login: str) -> Machine:
    for name in ("bin", "etc", "machine"):
        (folder / name).mkdir()
    aws_cli.install(folder / "bin", {"i-1": ("127.0.0.1", port)})
    for path, text in {"bin/ssh": SSH, "machine/sudo": SUDO, "machine/systemctl": SYSTEMCTL}.items():
        (folder / path).write_text(text.format(folder=folder))
        (folder / path).chmod(0o755)
    public = key_pair(kind, "worker-1")["public"]
    (folder / "etc" / f"ssh_host_{kind}_key.pub").write_text(f"{public}\n")
    (folder / "etc" / f"ssh_host_{kind}_key").write_text("the private half\n")
    first = " ".join(public.split()[:2])
    (folder / "served").write_text(f"{first}\n")
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    environment.pop("PULUMI_COMMAND_STDOUT", None)
    return Machine(folder, first, environment, login)


@pytest.fixture
def machine(tmp_path: Path, port: int, key: str) -> Machine:
    return booted(tmp_path, port, "ecdsa", key)


def test_a_machine_makes_a_key_and_tells_its_public_half(machine: Machine) -> None:
    assert machine.own() == {"instanceId": "i-1", "hostKey": machine.key()}
    assert machine.key().startswith("ssh-ed25519 ")
    private = machine.folder / "etc" / "ssh_host_ed25519_key"
    told = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True).stdout
    assert told.split()[:2] == machine.key().split()
    assert private.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in private.parent.iterdir()} == {
        f"ssh_host_{kind}_key{suffix}" for kind in ("ecdsa", "ed25519") for suffix in ("", ".pub")
    }


def test_the_first_connection_knows_the_first_key_alone_and_the_last_the_new_one(machine: Machine) -> None:
    made = machine.own()["hostKey"]
    *first, last = machine.asked
    assert {each.partition(":")[0] for each in first} == {f"i-1 {machine.first}"}
    assert last == f"i-1 {made}: true"
    assert machine.served == {machine.first, made}, "until the playbook takes the first away"


def test_a_machine_that_has_its_key_tells_it_again(machine: Machine) -> None:
    assert machine.own() == machine.own()


@pytest.mark.parametrize("left", ["key.new", "key.new.pub", "key.pub"])
def test_what_an_interrupted_run_left_is_in_nobodys_way(machine: Machine, left: str) -> None:
    (machine.folder / "etc" / f"ssh_host_ed25519_{left}").write_text("half of it")
    assert machine.own()["hostKey"] == machine.key()


def test_a_key_that_sshd_does_not_have_yet_is_told_when_it_has(machine: Machine) -> None:
    made = machine.own()["hostKey"]
    (machine.folder / "served").write_text(f"{machine.first}\n")  # killed before the reload
    assert machine.own()["hostKey"] == made
    assert made in machine.served


def test_an_instance_that_has_told_its_key_is_not_asked_again(machine: Machine) -> None:
    before = json.dumps({"instanceId": "i-1", "hostKey": "ssh-ed25519 AAAA"})
    assert machine.own(PULUMI_COMMAND_STDOUT=before) == json.loads(before)
    assert machine.asked == []


def test_another_instance_is_asked_in_its_place(machine: Machine) -> None:
    before = json.dumps({"instanceId": "i-0", "hostKey": "ssh-ed25519 AAAA"})
    assert machine.own(PULUMI_COMMAND_STDOUT=before) == {"instanceId": "i-1", "hostKey": machine.key()}


def test_a_machine_whose_first_key_is_ed25519_makes_another_kind(tmp_path: Path, port: int, key: str) -> None:
    machine = booted(tmp_path, port, "ed25519", key)
    assert machine.own() == {"instanceId": "i-1", "hostKey": machine.key("ecdsa")}
    assert machine.served == {machine.first, machine.key("ecdsa")}


def test_another_machine_at_the_address_is_not_asked(machine: Machine) -> None:
    (machine.folder / "served").write_text("ecdsa-sha2-nistp256 BBBB\n")
    with pytest.raises(UsageError, match="worker-1 at i-1: its SSH host key is not the pinned one"):
        machine.own()
    assert not (machine.folder / "etc" / "ssh_host_ed25519_key").exists()


@pytest.mark.parametrize(
    ("name", "program", "words"),
    [
        ("sudo", "cat > /dev/null; echo sudo: no >&2; exit 1", r"has not made its SSH host key \(sudo: no\)"),
        ("sudo", "cat > /dev/null; echo word", r"has not made its SSH host key \(it told none\)"),
        ("systemctl", "", r"sshd does not take the SSH host key that the machine has made \(Host key"),
    ],
)
def test_a_machine_that_makes_none_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str, program: str, words: str
) -> None:
    monkeypatch.setattr(host_key, "RELOAD", 0.0)
    (machine.folder / "machine" / name).write_text(f"#!/bin/sh\n{program}\n")
    with pytest.raises(UsageError, match=f"worker-1 at i-1: .*{words}") as error:
        machine.own()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machine": []}, "machine must be a JSON object"),
        ({"sshUser": None}, "sshUser must be a JSON string"),
        ({"sshPrivateKey": "x"}, "sshPrivateKey"),
        ({"machine": {**WORKER, "hostKey": "ssh-rsa AAAA"}}, "worker-1 at i-1: .* of the type ssh-rsa"),
        ({"machine": {}}, "machine 1: name is missing"),
    ],
)
def test_a_wrong_request_is_named(machine: Machine, change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        host_key.own({**machine.request, **change}, environment=machine.environment)


def test_the_command_answers_json(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(machine.request)))
    before = json.dumps({"instanceId": "i-1", "hostKey": "ssh-ed25519 AAAA"})
    monkeypatch.setenv("PULUMI_COMMAND_STDOUT", before)
    monkeypatch.setattr(sys, "argv", ["twinplane.host_key", "make"])
    assert host_key.main() == 0
    assert json.loads(capsys.readouterr().out) == json.loads(before)


@pytest.mark.parametrize(("argv", "stdin", "words"), [([], "{}", "usage"), (["make"], "{", "not JSON")])
def test_wrong_use_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], stdin: str, words: str
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    monkeypatch.setattr(sys, "argv", ["twinplane.host_key", *argv])
    assert host_key.main() == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert words in shown.err
