"""What waits for nodes that take workloads, against an API server in a thread."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.kubernetes_api import Api, api_server
from twinplane import spread

NEW = {"key": spread.TAINT, "effect": "NoSchedule"}
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
#: CoreDNS' own, by kubeadm.
TOLERATIONS = [{"key": CONTROL_PLANE["key"], "effect": "NoSchedule"}]


def conditions(ready: bool) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": str(ready)}]}


def node(name: str, *taints: dict[str, str], ready: bool = True) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"taints": list(taints)}, "status": conditions(ready)}


def pod(on: str, *, ready: bool = True, leaving: bool = False) -> dict[str, Any]:
    metadata = {"deletionTimestamp": "now"} if leaving else {}
    return {
        "metadata": metadata,
        "spec": {"nodeName": on, "tolerations": TOLERATIONS},
        "status": conditions(ready),
    }


def deployments(replicas: int = 2) -> list[dict[str, Any]]:
    return [{"spec": {"replicas": replicas}}]


NODES = [node("control-plane-1", CONTROL_PLANE), node("worker-1"), node("worker-2")]
APART = [pod("worker-1"), pod("worker-2")]


def test_nodes_without_cloud_facts() -> None:
    assert spread.uninitialized([node("b", NEW), node("a", CONTROL_PLANE, NEW), node("c", CORDONED)]) == ["a", "b"]


@pytest.mark.parametrize(
    ("nodes", "replicas", "pods", "wrong"),
    [
        (NODES, 2, APART, ""),
        (NODES, 2, [pod("worker-1"), pod("control-plane-1")], ""),
        (NODES, 2, [pod("worker-1"), pod("worker-1")], "2 pods of cluster DNS are together on worker-1"),
        (NODES, 2, [pod("worker-1"), pod("worker-2", ready=False)], "1 of 2 pods of cluster DNS are ready"),
        (NODES, 2, [pod("worker-1"), pod("worker-2", leaving=True)], "1 of 2 pods of cluster DNS are ready"),
        (NODES, 2, [], "0 of 2 pods of cluster DNS are ready"),
        (NODES, 1, [pod("worker-1")], ""),
        (NODES[1:2], 2, [pod("worker-1"), pod("worker-1")], ""),
        ([node("a"), node("b", CORDONED)], 2, [pod("a"), pod("a")], ""),
        ([node("a"), node("b", ready=False)], 2, [pod("a"), pod("a")], ""),
        ([node("a"), node("b", CONTROL_PLANE)], 2, [pod("a"), pod("a")], "2 pods of cluster DNS are together on a"),
    ],
)
def test_cluster_dns(nodes: list[Any], replicas: int, pods: list[Any], wrong: str) -> None:
    assert spread.together(nodes, deployments(replicas), pods) == wrong


def test_a_cluster_without_dns_of_its_own() -> None:
    assert spread.together(NODES, [], []) == ""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with api_server() as api:
        monkeypatch.setattr(sys, "argv", ["spread", "wait"])
        monkeypatch.setattr(sys, "stdin", io.StringIO(api.kubeconfig()))
        monkeypatch.setattr(spread.time, "sleep", lambda _: None)
        yield api


def answers(monkeypatch: pytest.MonkeyPatch, *looks: tuple[list[Any], list[Any]]) -> None:
    """The cluster has those nodes and DNS pods: each look finds the next, at last the same."""
    left = list(looks)

    def get(_: Any, path: str) -> bytes:
        nodes, pods = left[0]
        if "/pods" in path and len(left) > 1:  # the last question of a look
            left.pop(0)
        return json.dumps({"items": nodes if "/nodes" in path else pods if "/pods" in path else deployments()}).encode()

    monkeypatch.setattr(spread, "get", get)


@pytest.mark.usefixtures("cluster")
def test_it_ends_when_all_nodes_are_open_and_dns_is_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    together = [pod("worker-1"), pod("worker-1")]
    answers(monkeypatch, ([node("worker-1"), node("worker-2", NEW)], together), (NODES, together), (NODES, APART))
    assert spread.main() == 0
    assert capsys.readouterr().err.splitlines() == [
        "wait: no cloud facts yet: worker-2; look at the cloud controller's log",
        "wait: 2 pods of cluster DNS are together on worker-1",
    ]


@pytest.mark.usefixtures("cluster")
def test_a_node_that_gets_no_facts_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spread, "WAIT", -1.0)
    answers(monkeypatch, ([node("worker-1", NEW)], []))
    assert spread.main() == 1
    assert "error: no cloud facts yet: worker-1; look at the cloud controller's log" in capsys.readouterr().err


@pytest.mark.usefixtures("cluster")
def test_dns_that_stays_together_is_said_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spread, "WAIT_FOR_DNS", -1.0)
    answers(monkeypatch, (NODES, [pod("worker-2"), pod("worker-2")]))
    assert spread.main() == 0
    assert "together on worker-2: the descheduler did not move them" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer(
    cluster: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spread, "WAIT", -1.0)
    cluster.refuse["GET", "/api/v1/nodes"] = {"code": 503, "message": "away"}
    assert spread.main() == 1
    assert "the cluster does not answer: 503" in capsys.readouterr().err


def test_wants_its_verb() -> None:
    done = subprocess.run([sys.executable, "-m", "twinplane.spread"], capture_output=True, check=False, input=b"")
    assert (done.returncode, done.stderr.startswith(b"usage:")) == (2, True)
