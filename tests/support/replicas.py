"""Where the replicas of Deployments are, and whether they are apart."""

from collections import Counter

from tests.support.live import Cluster, until

#: Deployments with replicas in both clusters.
APP, CONTROLLERS, DNS = (
    ("twinplane", "sample-app"),
    ("kube-system", "aws-load-balancer-controller"),
    ("kube-system", "coredns"),
)
#: Seconds until replicas are apart: a few looks of the descheduler, and the moves of some pods.
APART = 120


def places(cluster: Cluster, namespace: str, name: str) -> Counter[str] | None:
    """Returns the Deployment's pods per node, 0 for an empty node that is open to all pods; None while pods move."""
    deployment = cluster.get("deployment", "-n", namespace, name)
    label = ",".join(f"{key}={value}" for key, value in deployment["spec"]["selector"]["matchLabels"].items())
    pods = cluster.get("pods", "-n", namespace, "-l", label)["items"]
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    ready = [
        pod
        for pod in staying
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
    ]
    if not len(staying) == len(ready) == deployment["spec"]["replicas"]:
        return None
    found = Counter(dict.fromkeys(workers(cluster), 0))
    found.update(pod["spec"]["nodeName"] for pod in ready)
    return found


def apart(cluster: Cluster, *deployments: tuple[str, str]) -> bool:
    """Whether no node has two replicas more than another."""
    found = [places(cluster, *each) for each in deployments]
    return all(each is not None and max(each.values()) - min(each.values()) <= 1 for each in found)


def spread(cluster: Cluster, *deployments: tuple[str, str]) -> None:
    """Waits until `apart`. Fails with the places."""
    try:
        until("replicas apart", lambda: apart(cluster, *deployments), APART)
    except AssertionError:
        raise AssertionError({name: places(cluster, namespace, name) for namespace, name in deployments}) from None


def workers(cluster: Cluster) -> list[str]:
    """Returns the nodes that are Ready and open to all pods."""
    return [node["metadata"]["name"] for node in cluster.ready_nodes() if not node["spec"].get("taints")]


def scale(cluster: Cluster, replicas: int) -> None:
    namespace, name = APP
    cluster.kubectl("scale", "-n", namespace, f"deployment/{name}", f"--replicas={replicas}")
