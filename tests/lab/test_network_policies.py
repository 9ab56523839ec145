"""NetworkPolicy on the self-managed cluster: enforced by the agent that AWS stacks have, where this kernel lets it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.hosts import kernel
from tests.lab.conftest import SELF_MANAGED, Cluster, Shell, derived, until

WHY = kernel.refuses()
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(WHY), reason=f"nobody enforces NetworkPolicy here: this kernel has no queue for it: {WHY}"),
]

NAMESPACE = "guarded"
IMAGE = "198.19.255.254:5000/sample-app:v1.0.0"
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": NAMESPACE},
    "spec": {"nodeName": "worker-2", "containers": [{"name": "web", "image": IMAGE}]},
}


@pytest.fixture
def enforced(self_managed: Cluster, shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with the agent on every node, and a namespace with one pod."""
    config = derived(
        tmp_path_factory.mktemp("config"), SELF_MANAGED, SELF_MANAGED, {"twinplane:networkPolicies": "true"}
    )
    shell.run("pulumi", "up", "--yes", "--skip-preview", *config)
    self_managed.kubectl("rollout", "status", "-n", "kube-system", "daemonset/kube-network-policies")
    self_managed.kubectl("create", "namespace", NAMESPACE)
    apply(self_managed, POD)
    self_managed.kubectl("wait", "--for=condition=Ready", "-n", NAMESPACE, "pod/web")
    yield self_managed
    self_managed.kubectl("delete", "namespace", NAMESPACE)
    shell.run("pulumi", "up", "--yes", "--skip-preview", "-s", SELF_MANAGED)


def apply(cluster: Cluster, manifest: dict[str, Any]) -> None:
    cluster.shell.run(
        "kubectl", "--kubeconfig", str(cluster.kubeconfig), "apply", "-f", "-", stdin=json.dumps(manifest)
    )


def policy(*blocks: str) -> dict[str, Any]:
    """Lets nobody in, but for these blocks."""
    ingress = [{"from": [{"ipBlock": {"cidr": each}}]} for each in blocks]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "door", "namespace": NAMESPACE},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress},
    }


def test_a_policy_closes_a_pod_and_opens_it_to_whom_it_names(enforced: Cluster) -> None:
    address = enforced.get("pod", "-n", NAMESPACE, "web")["status"]["podIP"]
    other = next(node for node in enforced.get("nodes")["items"] if node["metadata"]["name"] == "worker-1")
    host = enforced.host(other)

    def answers() -> bool:
        return host.run("curl", "-sS", "--max-time", "2", f"http://{address}:8080/").returncode == 0

    assert answers()
    apply(enforced, policy())
    until("the pod is closed", lambda: not answers(), 30)
    seen = enforced.shell.run("twinplane", "compare", "--json", check=False, timeout=120).stdout
    row = json.loads(seen)["selfManaged"]["upkeep"]["network policies"]
    assert row["value"] == "enforced by kube-network-policies on all nodes; 1 of them"
    # Through the tunnel, a machine comes with the first address of its pods' range.
    apply(enforced, policy(other["spec"]["podCIDR"]))
    until("the pod is open again", answers, 30)
