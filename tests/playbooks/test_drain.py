"""A drain's rounds, against a cluster that answers as kubectl does."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support.playbook_modules import Run

BLOCKED = "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget."


def pod(name: str, kind: str = "ReplicaSet", phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    owners = [{"kind": kind, "name": "x", "controller": True}] if kind else []
    own = {"name": name, "namespace": "default", "uid": name, "labels": {"app": name}, "ownerReferences": owners}
    return {"metadata": own | metadata, "status": {"phase": phase}}


def budget(name: str, allowed: int, selector: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"metadata": metadata, "spec": {"selector": selector}, "status": {"disruptionsAllowed": allowed}}


class Cluster:
    """Answers kubectl. Pods in `held` are not evicted, for the reason there."""

    def __init__(self) -> None:
        self.pods: list[dict[str, Any]] = []
        self.budgets: list[dict[str, Any]] = []
        self.held: dict[str, str] = {}
        self.evicted: list[str] = []
        self.error = ""

    def kubectl(self, refused: type[Exception]) -> Callable[..., str]:
        def answer(*argv: str, stdin: str = "") -> str:
            if self.error:
                raise refused(self.error)
            if argv[0] == "get":
                return json.dumps({"items": self.pods if argv[1] == "pods" else self.budgets})
            asked = json.loads(stdin)
            name = asked["metadata"]["name"]
            assert argv[2] == f"/api/v1/namespaces/default/pods/{name}/eviction"
            assert asked["deleteOptions"]["preconditions"] == {"uid": name}
            if name in self.held:
                raise refused(self.held[name])
            self.evicted.append(name)
            return ""

        return answer


@pytest.fixture
def drain(module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = module("drain")
    monkeypatch.setattr(loaded.time, "time", lambda: 1000.0)
    return loaded


@pytest.fixture
def cluster(drain: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    answer = made.kubectl(drain.Refused)
    monkeypatch.setattr(drain, "kubectl", answer)
    monkeypatch.setattr(sys.modules["ansible.module_utils.kubectl"], "kubectl", answer)  # `items` asks by it
    return made


def test_it_evicts_what_would_come_back_elsewhere_and_nothing_else(
    drain: ModuleType,
    cluster: Cluster,
    run: Run,
) -> None:
    mirror = pod("static", "Node", annotations={"kubernetes.io/config.mirror": "x"})
    cluster.pods = [
        pod("app"),
        pod("agent", "DaemonSet"),
        mirror,
        pod("job", "", "Succeeded"),
        pod("lost", "", "Failed"),
    ]
    answer = run(drain, node="worker-1", deadline=1300)
    assert cluster.evicted == ["app"]
    assert answer["done"] is False
    assert answer["progress"] == "worker-1: default/app is ending; 300 s left"
    cluster.pods = cluster.pods[1:]
    answer = run(drain, node="worker-1", deadline=1300)
    assert (answer["done"], answer["changed"]) == (True, False)


def test_a_pod_without_a_controller_is_refused_before_any_leaves(
    drain: ModuleType,
    cluster: Cluster,
    run: Run,
) -> None:
    cluster.pods = [pod("app"), pod("precious", "")]
    answer = run(drain, node="worker-1", deadline=1300)
    assert answer["failed"]
    assert answer["msg"].startswith("worker-1: default/precious has no controller: ")
    assert cluster.evicted == []


def test_the_line_names_pod_and_budget_and_the_time_that_is_left(
    drain: ModuleType,
    cluster: Cluster,
    run: Run,
) -> None:
    cluster.pods = [pod("app"), pod("precious")]
    cluster.held = {"precious": BLOCKED}
    cluster.budgets = [budget("wide", 3, {}), budget("gold", 0, {"matchLabels": {"app": "precious"}})]
    answer = run(drain, node="worker-1", deadline=1285)
    held = "default/precious waits: PodDisruptionBudget default/gold allows 0 disruptions"
    assert answer["progress"] == f"worker-1: {held}, default/app is ending; 285 s left"
    assert [each["budget"] for each in answer["waiting"]] == ["", "default/gold"]
    answer = run(drain, node="worker-1", deadline=1000)
    assert answer["failed"]
    assert answer["msg"] == f"worker-1: {held}, default/app is ending; no time is left"


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({"key": "app", "operator": "In", "values": ["precious"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["precious"]}, False),
        ({"key": "tier", "operator": "Exists"}, False),
        ({"key": "tier", "operator": "DoesNotExist"}, True),
    ],
)
def test_a_budget_is_known_by_its_selector(drain: ModuleType, rule: dict[str, Any], matches: bool) -> None:
    assert drain.selects({"matchExpressions": [rule]}, {"app": "precious"}) is matches


def test_a_pod_that_is_gone_meanwhile_is_no_reason_to_wait(
    drain: ModuleType,
    cluster: Cluster,
    run: Run,
) -> None:
    cluster.pods, cluster.held = [pod("app")], {"app": 'Error from server (NotFound): pods "app" not found'}
    assert run(drain, node="worker-1", deadline=1300)["done"]


def test_an_api_that_refuses_is_asked_again_until_the_time_is_over(
    drain: ModuleType,
    cluster: Cluster,
    run: Run,
) -> None:
    cluster.error = "The connection to the server was refused"
    answer = run(drain, node="worker-1", deadline=1100)
    assert answer["progress"] == f"worker-1: the API refuses: {cluster.error}; 100 s left"
    assert run(drain, node="worker-1", deadline=999)["failed"]
    assert run(drain, check=True, node="worker-1")["msg"] == f"worker-1: {cluster.error}"


def test_check_mode_looks_and_evicts_nothing(drain: ModuleType, cluster: Cluster, run: Run) -> None:
    cluster.pods = [pod("app")]
    answer = run(drain, check=True, node="worker-1")
    assert (answer["changed"], answer["done"], answer["now"]) == (True, True, 1000.0)
    assert cluster.evicted == []
