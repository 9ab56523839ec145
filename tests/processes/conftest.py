"""What runs of a playbook on this machine need."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.machines import MACHINES
from twinplane import ansible, lock
from twinplane.live import ssh

#: The head of a playbook that runs on this machine.
PLAY = "- hosts: kubernetes\n  connection: local\n  become: false\n  gather_facts: false\n  tasks:\n"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.read_text()


@pytest.fixture
def request_(key: str) -> dict[str, Any]:
    return {"machines": MACHINES[:2], "sshUser": "admin", "sshPrivateKey": key, "variables": {"secret": "hunter2"}}


@pytest.fixture
def playbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder of playbooks; every machine answers by SSH."""
    folder = tmp_path / "playbooks"
    folder.mkdir()
    (tmp_path / "ansible.cfg").write_text(
        f"[defaults]\ninterpreter_python = {sys.executable}\nremote_tmp = {tmp_path}\n"
    )
    monkeypatch.setattr(ansible, "PLAYBOOKS", folder)
    monkeypatch.setattr(ssh, "wait", lambda *_, **__: {})
    monkeypatch.setattr(lock.Lock, "_take", lambda _: False)  # tests/twinplane/test_lock.py
    return folder
