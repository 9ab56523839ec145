"""A node's return from a restart, against a cluster that answers as kubectl does."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support.playbook_modules import Run

ASKED = {"node": "worker-1", "boot": "new"}


def pod(name: str, phase: str, kind: str = "DaemonSet", **metadata: Any) -> dict[str, Any]:
    own = {"name": name, "namespace": "kube-system", "ownerReferences": [{"kind": kind, "controller": True}]}
    ready = {"type": "Ready", "status": "True" if phase == "Running" else "False"}
    return {"metadata": own | metadata, "status": {"phase": phase, "conditions": [ready]}}


class Cluster:
    """Answers kubectl. A DaemonSet replaces its deleted pod at once, under another name."""

    def __init__(self) -> None:
        self.boot, self.ready, self.error = "new", {"type": "Ready", "status": "True"}, ""
        self.pods = [pod("kube-proxy-1", "Failed"), pod("job-1", "Failed", "Job")]
        self.deleted: list[str] = []

    def kubectl(self, refused: type[Exception]) -> Callable[..., str]:
        def answer(*argv: str) -> str:
            if self.error:
                raise refused(self.error)
            if argv[:2] == ("get", "node"):
                return json.dumps({"status": {"nodeInfo": {"bootID": self.boot}, "conditions": [self.ready]}})
            if argv[0] == "get":
                of_proxy = [each for each in self.pods if each["metadata"]["name"].startswith("kube-proxy")]
                return json.dumps({"items": of_proxy if "-l" in argv else self.pods})
            assert argv[:2] == ("delete", "pod")
            self.deleted.append(argv[2])
            self.pods = [pod("kube-proxy-2", "Pending"), *self.pods[1:]]
            return ""

        return answer


@pytest.fixture
def node(module: Callable[[str], ModuleType]) -> ModuleType:
    return module("returned_node")


@pytest.fixture
def cluster(node: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    answer = made.kubectl(node.Refused)
    monkeypatch.setattr(node, "kubectl", answer)
    monkeypatch.setattr(sys.modules["ansible.module_utils.kubectl"], "kubectl", answer)  # `items` asks by it
    return made


def test_a_daemon_that_the_restart_ended_comes_back_at_once(node: ModuleType, cluster: Cluster, run: Run) -> None:
    answer = run(node, **ASKED)
    assert cluster.deleted == ["kube-proxy-1"]
    assert answer["done"] is False
    assert answer["progress"] == "worker-1: kube-system/kube-proxy-2 is Pending, not ready"
    cluster.pods = [pod("kube-proxy-2", "Running")]
    assert run(node, **ASKED)["done"]
    assert cluster.deleted == ["kube-proxy-1"]


def test_what_it_waits_for_is_named(node: ModuleType, cluster: Cluster, run: Run) -> None:
    cluster.pods = []
    assert run(node, **ASKED)["progress"] == "worker-1: it has no kube-proxy yet"
    cluster.ready = {"type": "Ready", "status": "False", "message": "no network"}
    assert run(node, **ASKED)["progress"] == "worker-1: not Ready: no network"
    cluster.boot = "old"
    assert run(node, **ASKED)["progress"] == "worker-1: the kubelet has not reported since the restart"
    cluster.error = "connection refused"
    answer = run(node, **ASKED)
    assert (answer["done"], answer["progress"]) == (False, "worker-1: the API refuses: connection refused")
