"""Replicas on different nodes: whatever moved them together, they are apart again a moment later."""

from tests.support.live import Cluster, until
from tests.support.replicas import APART, APP, CONTROLLERS, DNS, places, scale, spread, workers

#: Seconds until a lost node's pods are made elsewhere: 50 until Kubernetes knows, 30 of the app's patience, and some.
GONE = 180


def test_after_scaling(cluster: Cluster) -> None:
    spread(cluster, APP, CONTROLLERS, DNS)
    try:
        scale(cluster, 5)
        spread(cluster, APP)
    finally:
        scale(cluster, 3)
    spread(cluster, APP)


def test_during_a_drain_and_after_it(cluster: Cluster) -> None:
    """A patch drains each node in turn. Nothing is moved to the drained node, nor away from the nodes that are left."""
    node, *others = workers(cluster)
    try:
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
        left = until("the app elsewhere", lambda: places(cluster, *APP), APART)
        assert sum(left[each] for each in others) == 3
        before, looked = names(cluster), looks(cluster)
        until("a look of the descheduler", lambda: looks(cluster) > looked, APART)
        assert names(cluster) == before
    finally:
        cluster.kubectl("uncordon", node)
    spread(cluster, APP, CONTROLLERS, DNS)


def test_a_lost_machine_that_comes_back(self_managed: Cluster) -> None:
    """Its replicas are made elsewhere meanwhile, and some go back to it."""
    node, *others = workers(self_managed)
    [lost] = [each["instanceId"] for each in self_managed.outputs["machines"] if each["name"] == node]
    cloud = self_managed.shell.client("ec2")
    try:
        cloud.stop_instances(InstanceIds=[lost])
        until("the app elsewhere", lambda: elsewhere(self_managed, others), GONE)
    finally:
        cloud.start_instances(InstanceIds=[lost])
    until("the node back", lambda: node in workers(self_managed), APART)
    spread(self_managed, APP, CONTROLLERS, DNS)


def elsewhere(cluster: Cluster, nodes: list[str]) -> bool:
    found = places(cluster, *APP)
    return found is not None and sum(found[each] for each in nodes) == 3


def looks(cluster: Cluster) -> int:
    """Returns how often the descheduler has looked at the cluster since its pod began."""
    log = cluster.kubectl("logs", "-n", "kube-system", "deployment/descheduler", check=False)
    return log.count("Number of evictions")


def names(cluster: Cluster) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.get("pods", "-n", APP[0])["items"]}
