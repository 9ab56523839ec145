"""`python -m twinplane.spread wait < KUBECONFIG`: waits until workloads spread over a cluster's nodes by themselves.

The cloud controller opens new nodes one by one; pods that wait all go to the first. So this waits until every node is
open, and until the replicas of cluster DNS, which waited, are apart again: the descheduler moves them.

Exit code 0; 1 when nodes still wait after WAIT seconds, or nothing answers. DNS that stays together is only said.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from kubernetes.client import ApiClient

from twinplane.errors import UsageError
from twinplane.live.kubernetes import get, kubernetes_client
from twinplane.live.unanswered import Unanswered

#: A cloud controller needs seconds; the descheduler looks every 20 s, and a pod needs some more to move.
WAIT, WAIT_FOR_DNS, PAUSE = 180.0, 90.0, 1.0
#: On a node that has no zone, type and provider ID yet
#: (https://kubernetes.io/docs/reference/labels-annotations-taints/#node-cloudprovider-kubernetes-io-uninitialized).
TAINT = "node.cloudprovider.kubernetes.io/uninitialized"
#: Of cluster DNS, by kubeadm and by EKS.
DNS = "labelSelector=k8s-app%3Dkube-dns"
KEEPS_OUT = {"NoSchedule", "NoExecute"}

Object = dict[str, Any]


def uninitialized(nodes: list[Object]) -> list[str]:
    """Returns the names of the nodes that wait for their cloud facts."""
    return sorted(
        node["metadata"]["name"]
        for node in nodes
        if any(taint["key"] == TAINT for taint in node["spec"].get("taints", []))
    )


def together(nodes: list[Object], deployments: list[Object], pods: list[Object]) -> str:
    """Returns what is wrong with the places of a Deployment's pods; nothing where they are on as many nodes as can be.

    `pods` are those of the Deployments, of which there is at most one.
    """
    if not deployments:
        return ""
    wanted = deployments[0]["spec"]["replicas"]
    ready = [pod for pod in pods if _ready(pod) and "deletionTimestamp" not in pod["metadata"]]
    if len(ready) < wanted:
        return f"{len(ready)} of {wanted} pods of cluster DNS are ready"
    used = {pod["spec"]["nodeName"] for pod in ready}
    usable = [node for node in nodes if _ready(node) and _open(node, ready[0])] if ready else []
    if len(used) < min(wanted, len(usable)):
        return f"{wanted} pods of cluster DNS are together on {', '.join(sorted(used))}"
    return ""


def _ready(thing: Object) -> bool:
    """Whether a Node or Pod has the condition Ready."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in thing["status"].get("conditions", []))


def _open(node: Object, pod: Object) -> bool:
    """Whether the node's taints let such a pod in; a cordon is a taint, too."""
    tolerated = pod["spec"].get("tolerations", [])
    return all(
        any(
            each.get("key") in (None, taint["key"]) and each.get("effect") in (None, taint["effect"])
            for each in tolerated
        )
        for taint in node["spec"].get("taints", [])
        if taint["effect"] in KEEPS_OUT
    )


def look(client: ApiClient) -> tuple[list[str], str]:
    """Returns the nodes that wait for their cloud facts, and what is wrong with cluster DNS. Raises Unanswered."""
    nodes = _items(client, "/api/v1/nodes")
    deployments = _items(client, f"/apis/apps/v1/namespaces/kube-system/deployments?{DNS}")
    pods = _items(client, f"/api/v1/namespaces/kube-system/pods?{DNS}")
    return uninitialized(nodes), together(nodes, deployments, pods)


def _items(client: ApiClient, path: str) -> list[Object]:
    items: list[Object] = json.loads(get(client, path))["items"]
    return items


def wait(client: ApiClient) -> str:
    """Returns why the nodes are not ready for workloads after WAIT seconds; nothing when they are."""
    begun = time.monotonic()
    said = ""
    while True:
        try:
            waiting, dns = look(client)
            reason = f"no cloud facts yet: {', '.join(waiting)}; look at the cloud controller's log" if waiting else ""
        except Unanswered as error:
            reason, dns = f"the cluster does not answer: {error}", ""
        passed = time.monotonic() - begun
        if not reason and (not dns or passed > WAIT_FOR_DNS):
            if dns:
                print(f"{dns}: the descheduler did not move them; look at its log", file=sys.stderr)
            return ""
        if reason and passed > WAIT:
            return reason
        if (news := reason or dns) != said:
            print(f"wait: {news}", file=sys.stderr, flush=True)
            said = news
        time.sleep(PAUSE)


def main() -> int:
    """Runs the command. Returns its exit code."""
    if sys.argv[1:] != ["wait"]:
        print("usage: python -m twinplane.spread wait < KUBECONFIG", file=sys.stderr)
        return 2
    try:
        reason = wait(kubernetes_client(sys.stdin.read(), os.environ))
    except UsageError as error:
        reason = str(error)
    if reason:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
