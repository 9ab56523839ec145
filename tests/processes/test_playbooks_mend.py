"""How a control plane's static pods are written anew, by the real ansible-playbook with a kubeadm of the test's own."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from twinplane import ansible

TASKS = ansible.PLAYBOOKS / "roles" / "mend" / "tasks" / "main.yml"
WRITES = "Write again what is missing or of an older configuration"
#: What the tasks before have found: nothing is lost, and the configuration is another one.
FOUND = {
    "mend_timeout": 20,
    "mend_seen": {"joined": True, "phases": [], "lacking": [], "lost": [], "strays": [], "expired": False},
    "mend_applied": {"rc": 1},
}


@pytest.fixture
def api_server() -> Iterator[subprocess.Popen[bytes]]:
    """Stands for the API server with the older flags."""
    with subprocess.Popen(["sleep", "60"]) as process:
        threading.Thread(target=process.wait, daemon=True).start()  # a dead child that nobody awaits is still there
        yield process
        process.kill()


@pytest.fixture
def root(playbooks: Path, tmp_path: Path, api_server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's root, and a site.yml of the one task."""
    root = tmp_path / "root"
    for folder in ("etc/kubernetes/manifests", "etc/kubernetes/pki/etcd", "var/lib/etcd", "run", "bin"):
        (root / folder).mkdir(parents=True)
    for file in ("kubeadm.yaml", "manifests/kube-apiserver.yaml", "pki/etcd/server.key", "pki/etcd/peer.key"):
        (root / "etc/kubernetes" / file).write_text("older\n")
    (root / "bin/pidof").write_text(f"#!/bin/sh\necho {api_server.pid}\n")
    (root / "bin/pidof").chmod(0o755)
    monkeypatch.setenv("PATH", f"{root}/bin:{os.environ['PATH']}")
    text = TASKS.read_text()
    for folder in ("etc", "run", "var"):
        text = text.replace(f" /{folder}/", f" {root}/{folder}/")
    [task] = [each for each in yaml.safe_load(text) if each["name"] == WRITES]
    play = {"hosts": "control_plane", "connection": "local", "become": False, "gather_facts": False, "tasks": [task]}
    (playbooks / "site.yml").write_text(yaml.safe_dump([play]))
    return root


def kubeadm(root: Path, flags: str, ends: int) -> None:
    """It writes these flags, and the kubelet ends the process a moment later, none for 0."""
    manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    program = root / "bin/kubeadm"
    ending = f"(sleep 2; kill {ends}) > /dev/null 2>&1 9>&- &" if ends else ""
    program.write_text(f"#!/bin/sh\necho {flags} > {manifest}\n{ending}\n")
    program.chmod(0o755)


def test_the_api_server_with_the_older_flags_has_ended_before_the_next_machine_s_turn(
    root: Path, request_: dict[str, Any], api_server: subprocess.Popen[bytes]
) -> None:
    kubeadm(root, "newer", api_server.pid)
    assert ansible.run("site", {**request_, "variables": FOUND}).failures == []
    assert api_server.poll() is not None
    assert (root / "etc/kubernetes/kubeadm.applied").exists()


def test_an_api_server_with_the_same_flags_is_not_waited_for(
    root: Path, request_: dict[str, Any], api_server: subprocess.Popen[bytes]
) -> None:
    kubeadm(root, "older", ends=0)
    assert ansible.run("site", {**request_, "variables": FOUND}).failures == []
    assert api_server.poll() is None
