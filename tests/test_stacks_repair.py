"""What of a living cluster makes the playbook run again, and what does not."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kubeadm.ansible_run import LastRun
from stacks import repair
from tests import certificate
from twinplane.live.unanswered import Unanswered

RANGES = {"control-plane-1": "10.0.0.0/24", "worker-1": "10.0.1.0/24"}
ROLES = {"control-plane-1": "control-plane", "worker-1": "worker"}


def node(name: str, **spec: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": spec.pop("ready", "True")}
    return {
        "metadata": {"name": name},
        "spec": {"podCIDR": RANGES.get(name), **spec},
        "status": {"conditions": [ready]},
    }


def kubeconfig(folder: Path, left: timedelta) -> str:
    now = datetime.now(UTC)
    certificate.write(folder / "client.crt", now + left - timedelta(days=365), now + left)
    data = base64.b64encode((folder / "client.crt").read_bytes()).decode()
    return yaml.safe_dump({"users": [{"name": "admin", "user": {"client-certificate-data": data}}]})


class Cluster:
    """A living cluster, and the state of its stack."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [node(name) for name in ROLES]
        self.pods = [{"metadata": {"name": f"{part}-control-plane-1"}} for part in repair.PARTS]
        machines = [{"name": name, "role": role} for name, role in ROLES.items()]
        self.outputs: dict[str, Any] = {"machines": machines, "podRanges": dict(RANGES)}
        self.outputs["kubeconfig"] = kubeconfig(folder, timedelta(days=300))
        self.error = ""

    def get(self, _: Any, path: str, **__: Any) -> bytes:
        if self.error:
            raise Unanswered(self.error)
        return json.dumps({"items": self.nodes if path.endswith("nodes") else self.pods}).encode()

    def state(self, *triggers: str) -> list[dict[str, Any]]:
        return [
            {"type": "pulumi:pulumi:Stack", "outputs": self.outputs},
            {"type": "command:local:Command", "outputs": {"create": "wait", "triggers": ["i-1", "i-2"]}},
            {
                "type": "command:local:Command",
                "outputs": {"create": "site", "triggers": ["digest", *triggers], "stdout": "answer"},
            },
        ]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster(tmp_path)

    class Client:
        class configuration:
            host = "https://api:6443"

    monkeypatch.setattr(repair, "kubernetes_client", lambda *_: Client)
    monkeypatch.setattr(repair, "get", found.get)
    return found


def test_a_cluster_as_it_was_left_keeps_its_token(cluster: Cluster) -> None:
    assert repair.damage(cluster.outputs) == []
    told = repair.last_run(cluster.state("2026-11-30 worker-1 has no Node"))
    assert told == LastRun("2026-11-30 worker-1 has no Node", "answer")
    assert repair.last_run(cluster.state()) == LastRun("", "answer")


def test_a_stack_that_has_no_cluster_yet_is_not_asked(cluster: Cluster) -> None:
    cluster.error = "it would not answer"
    assert repair.last_run([]) == LastRun()
    for outputs in ({}, {"kubeconfig": ""}, {"kubeconfig": "none yet"}):
        assert repair.last_run([{"type": "pulumi:pulumi:Stack", "outputs": outputs}]) == LastRun()


def test_the_same_damage_again_is_another_token(cluster: Cluster) -> None:
    del cluster.nodes[1]
    before = "2026-11-30T04:00:00.000+00:00 worker-1 has no Node"
    found = repair.last_run(cluster.state(before))
    assert found.repair.endswith("worker-1 has no Node")
    assert found.repair != before
    assert found.answer is None, "it may renew the kubeconfig, and the API may be down until then"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (node("worker-1", ready="Unknown"), "worker-1 is not Ready"),
        (
            node("worker-1", podCIDR="10.0.7.0/24"),
            "worker-1 has the pod range 10.0.7.0/24, and its network 10.0.1.0/24",
        ),
        (node("worker-1", taints=[{"key": "twinplane/joining"}]), "worker-1 has not finished joining"),
    ],
)
def test_what_is_wrong_with_a_node_is_named(cluster: Cluster, broken: dict[str, Any], words: str) -> None:
    cluster.nodes[1] = broken
    assert repair.damage(cluster.outputs) == [words]


def test_a_node_of_no_machine_is_named(cluster: Cluster) -> None:
    cluster.nodes += [node("worker-9", providerID="aws:///a/i-9"), node("by-hand")]
    assert repair.damage(cluster.outputs) == ["worker-9 is a Node of no machine"]


@pytest.mark.parametrize("part", repair.PARTS)
def test_a_control_plane_without_one_of_its_parts_is_named(cluster: Cluster, part: str) -> None:
    cluster.pods = [pod for pod in cluster.pods if not pod["metadata"]["name"].startswith(part)]
    assert repair.damage(cluster.outputs) == [f"control-plane-1 runs no {part}"]


def test_an_api_that_does_not_answer_is_named(cluster: Cluster) -> None:
    cluster.error = "Connection refused"
    assert repair.damage(cluster.outputs) == ["the API at https://api:6443 does not answer (Connection refused)"]


@pytest.mark.parametrize(("days", "found"), [(91, False), (89, True), (-1, True)])
def test_a_kubeconfig_that_runs_out_is_named(cluster: Cluster, tmp_path: Path, days: int, found: bool) -> None:
    cluster.outputs["kubeconfig"] = kubeconfig(tmp_path, timedelta(days=days))
    assert bool(repair.damage(cluster.outputs)) is found
