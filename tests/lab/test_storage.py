"""What the sample app's storages outlive: the container's own nothing, the node's folder a container, not a pod."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.conftest import Cluster

WHERE = ("-n", "twinplane")


@pytest.fixture(params=["managed", "self_managed"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each of the two clusters in turn."""
    found: Cluster = request.getfixturevalue(request.param)
    return found


def ready_pods(cluster: Cluster) -> list[dict[str, Any]]:
    pods = cluster.get("pods", *WHERE, "-l", "app.kubernetes.io/name=sample-app")["items"]
    return [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
    ]


def starts(cluster: Cluster, pod: str) -> dict[str, int]:
    """Starts that each of the pod's storages remembers, as the app says."""
    path = f"/api/v1/namespaces/twinplane/pods/{pod}:8080/proxy/"
    return dict(json.loads(cluster.kubectl("get", "--raw", path))["starts"])


def until(ready: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(1)
    return pytest.fail(f"not within 90 s: {what}")


def test_what_survives_what(cluster: Cluster) -> None:
    pod = until(lambda: len(pods := ready_pods(cluster)) == 3 and pods[0], "three ready pods")
    name, [status] = pod["metadata"]["name"], pod["status"]["containerStatuses"]
    before = starts(cluster, name)
    assert before["container"] == 1

    cluster.kubectl("exec", *WHERE, name, "--", "/sample-app", "stop")

    def restarted() -> bool:
        [now] = cluster.get("pod", *WHERE, name)["status"]["containerStatuses"]
        return bool(now["restartCount"] > status["restartCount"] and now["ready"])

    until(restarted, "the container starts again")
    assert starts(cluster, name) == {"container": 1, "node": before["node"] + 1}

    known = {each["metadata"]["name"] for each in ready_pods(cluster)}
    cluster.kubectl("delete", "pod", *WHERE, name)
    fresh = until(
        lambda: next((p["metadata"]["name"] for p in ready_pods(cluster) if p["metadata"]["name"] not in known), None),
        "another pod in its place",
    )
    assert starts(cluster, fresh) == {"container": 1, "node": 1}


def test_the_service_inside_the_cluster_has_three_pods(cluster: Cluster) -> None:
    until(lambda: len(ready_pods(cluster)) == 3, "three ready pods")
    assert cluster.get("service", "sample-app-internal", *WHERE)["spec"]["type"] == "ClusterIP"
    chosen = "kubernetes.io/service-name=sample-app-internal"
    slices = cluster.get("endpointslices", *WHERE, "-l", chosen)["items"]
    assert sum(each["conditions"]["ready"] for part in slices for each in part["endpoints"]) == 3
