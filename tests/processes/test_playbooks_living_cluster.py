"""The guard of a living cluster, run by the real ansible-playbook on manifests in a folder of its own."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from twinplane import ansible

ROLE = ansible.PLAYBOOKS / "roles" / "living_cluster"
SITE = yaml.safe_load((ansible.PLAYBOOKS / "site.yml").read_text())
RUNS = {
    "kubernetes_version": "1.36.3",
    "kubernetes_pod_cidr": "10.244.0.0/16",
    "kubernetes_service_cidr": "10.96.0.0/12",
    "control_plane_endpoint": "api.internal:6443",
}
#: As kubeadm writes them.
MANIFESTS = {
    "etcd": "image: registry.k8s.io/etcd:3.6.5-0",
    "kube-apiserver": "- --service-cluster-ip-range=10.96.0.0/12\n    image: registry.k8s.io/kube-apiserver:v1.36.3",
    "kube-controller-manager": "- --cluster-cidr=10.244.0.0/16\n    - --service-cluster-ip-range=10.96.0.0/12\n"
    "    image: registry.k8s.io/kube-controller-manager:v1.36.3",
    "kube-scheduler": "image: registry.k8s.io/kube-scheduler:v1.36.3",
}


@pytest.fixture
def site(playbooks: Path) -> Path:
    """The first play of site.yml, and one that would change every machine after it. Returns the machines' root."""
    root = playbooks.parent / "root"
    for folder in ("var/lib/kubelet", "etc/kubernetes/manifests"):
        (root / folder).mkdir(parents=True)
    role = shutil.copytree(ROLE, playbooks / "roles" / "living_cluster")
    tasks = role / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text().replace(" /etc/", f" {root}/etc/").replace(" /var/", f" {root}/var/"))
    here = {"connection": "local", "become": False, "gather_facts": False}
    change = {"ansible.builtin.file": {"path": str(root / "{{ inventory_hostname }}"), "state": "touch"}}
    plays = [{**SITE[0], **here}, {"hosts": "kubernetes", **here, "tasks": [change]}]
    (playbooks / "site.yml").write_text(yaml.safe_dump(plays))
    return root


def lives(root: Path) -> None:
    (root / "var/lib/kubelet/kubeadm-done").touch()
    (root / "var/lib/etcd/member").mkdir(parents=True)
    for name, text in MANIFESTS.items():
        (root / f"etc/kubernetes/manifests/{name}.yaml").write_text(f"spec:\n  containers:\n    {text}\n")


def run(request_: dict[str, Any], check: bool = False, **changes: str) -> list[str]:
    return ansible.run("site", {**request_, "variables": {**RUNS, **changes}}, check=check).failures


def changed(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()} & {"control-plane-1", "worker-2"}


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [
        ("kubernetes_version", "1.36.4"),
        ("kubernetes_version", "1.36.1"),
        ("kubernetes_pod_cidr", "10.245.0.0/16"),
        ("kubernetes_service_cidr", "10.112.0.0/12"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_another_value_is_refused_before_any_machine_is_changed(
    site: Path,
    request_: dict[str, Any],
    variable: str,
    wanted: str,
    check: bool,
) -> None:
    lives(site)
    assert run(request_, check=check, **{variable: wanted}) == [
        f"control-plane-1: Refuse another version or range: the living cluster has {variable} {RUNS[variable]}, which "
        "cannot be changed: set it back, or make another cluster"
    ]
    assert changed(site) == set()


@pytest.mark.parametrize("check", [False, True])
def test_another_address_of_the_api_is_refused_before_any_machine_is_changed(
    site: Path, request_: dict[str, Any], check: bool
) -> None:
    lives(site)
    (site / "etc/kubernetes/admin.conf").write_text("    server: https://api.public:6443\n")
    [line] = run(request_, check=check)
    assert "reach the API by https://api.public:6443, and the stack wants https://api.internal:6443" in line
    assert changed(site) == set()


def test_the_same_address_of_the_api_goes_on(site: Path, request_: dict[str, Any]) -> None:
    lives(site)
    (site / "etc/kubernetes/admin.conf").write_text("    server: https://api.internal:6443\n")
    assert run(request_) == []


def test_all_that_differs_is_named(site: Path, request_: dict[str, Any]) -> None:
    lives(site)
    [line] = run(request_, kubernetes_version="1.37.0", kubernetes_pod_cidr="10.0.0.0/16")
    assert all(f"{name} {RUNS[name]}" in line for name in ("kubernetes_version", "kubernetes_pod_cidr"))


def test_the_same_values_go_on(site: Path, request_: dict[str, Any]) -> None:
    lives(site)
    assert run(request_) == []
    assert changed(site) == {"control-plane-1", "worker-2"}


def test_what_a_control_plane_lost_is_not_compared(site: Path, request_: dict[str, Any]) -> None:
    lives(site)
    for name in MANIFESTS:
        (site / f"etc/kubernetes/manifests/{name}.yaml").unlink()
    assert run(request_) == []


def test_an_interrupted_start_is_no_cluster_yet(site: Path, request_: dict[str, Any]) -> None:
    lives(site)
    (site / "var/lib/kubelet/kubeadm-done").unlink()
    assert run(request_, kubernetes_version="1.35.4") == []


@pytest.mark.parametrize(("joined", "refused"), [([2, 3], True), ([1], False), ([1, 2, 3], False), ([], False)])
def test_the_first_control_plane_begins_no_second_cluster(
    site: Path, request_: dict[str, Any], playbooks: Path, joined: list[int], refused: bool
) -> None:
    tasks = playbooks / "roles/living_cluster/tasks/main.yml"
    tasks.write_text(tasks.read_text().replace("lib/kubelet/", "lib/{{ inventory_hostname }}/"))
    for number in (1, 2, 3):
        folder = site / f"var/lib/control-plane-{number}"
        folder.mkdir()
        if number in joined:
            (folder / "kubeadm-done").touch()
    (site / "var/lib/etcd/member").mkdir(parents=True)
    control_plane = request_["machines"][0]
    request_["machines"] = [{**control_plane, "name": f"control-plane-{number}"} for number in (1, 2, 3)]
    failures = run(request_)
    assert bool(failures) is refused
    assert not refused or "control-plane-1 is in no cluster, and control-plane-2, control-plane-3 are" in failures[0]
    assert bool(changed(site)) is not refused


def test_etcd_without_its_data_is_refused(site: Path, request_: dict[str, Any]) -> None:
    lives(site)
    (site / "var/lib/etcd/member").rmdir()
    [line] = run(request_)
    assert "etcd has no data in " in line
    assert "restore a snapshot" in line
    assert changed(site) == set()


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ('Error from server (NotFound): configmaps "kubeadm-config" not found', True),
        ('Error from server (Forbidden): User "kubernetes-admin" cannot get resource', True),
        ("The connection to the server was refused", False),
    ],
)
def test_an_etcd_that_began_anew_is_refused(
    site: Path, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch, answer: str, refused: bool
) -> None:
    lives(site)
    program = site / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{answer}' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    failures = run(request_)
    assert bool(failures) is refused
    assert not refused or "etcd has begun anew" in failures[0]


def test_it_is_asked_before_anything_else() -> None:
    assert SITE[0]["roles"] == ["living_cluster"]
    assert SITE[0]["any_errors_fatal"] is True
