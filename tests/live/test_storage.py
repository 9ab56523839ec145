"""What the sample app's storages outlive: the container's own nothing, the node's folder a container, not a pod."""

import json
from typing import Any

from tests.support.live import Cluster, until

WHERE = ("-n", "twinplane")


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


def test_what_survives_what(cluster: Cluster) -> None:
    pod = until("three ready pods", lambda: len(pods := ready_pods(cluster)) == 3 and pods[0], 90)
    name, [status] = pod["metadata"]["name"], pod["status"]["containerStatuses"]
    before = starts(cluster, name)
    assert before["container"] == 1

    # Its own process may end with the first one.
    cluster.kubectl("exec", *WHERE, name, "--", "/sample-app", "stop", check=False)

    def restarted() -> bool:
        [now] = cluster.get("pod", *WHERE, name)["status"]["containerStatuses"]
        return bool(now["restartCount"] > status["restartCount"] and now["ready"])

    until("the container starts again", restarted, 90)
    assert starts(cluster, name) == {"container": 1, "node": before["node"] + 1}

    known = {each["metadata"]["name"] for each in ready_pods(cluster)}
    cluster.kubectl("delete", "pod", *WHERE, name)
    fresh = until(
        "another pod in its place",
        lambda: next((p["metadata"]["name"] for p in ready_pods(cluster) if p["metadata"]["name"] not in known), None),
        90,
    )
    assert starts(cluster, fresh) == {"container": 1, "node": 1}


def test_the_service_inside_the_cluster_has_three_pods(cluster: Cluster) -> None:
    until("three ready pods", lambda: len(ready_pods(cluster)) == 3, 90)
    assert cluster.get("service", "sample-app-internal", *WHERE)["spec"]["type"] == "ClusterIP"
    chosen = "kubernetes.io/service-name=sample-app-internal"

    def ready() -> int:
        slices = cluster.get("endpointslices", *WHERE, "-l", chosen)["items"]
        return sum(each["conditions"]["ready"] for part in slices for each in part["endpoints"] or [])

    until("three endpoints", lambda: ready() == 3, 30)
