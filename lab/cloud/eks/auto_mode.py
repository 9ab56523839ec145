"""EKS Auto Mode: what may be asked of it, and nodes that come for pods that wait and go when they are empty.

On EKS a Karpenter does this. The stand-in starts one node at a time, of one type, in the pool `general-purpose`, at
most LIMIT of them. It does not choose sizes, ask whether a waiting pod would fit (one that fits nowhere has a node come
for nothing), move pods together to end nodes, or replace old ones. There are no NodePool and NodeClass objects: pools
of one's own are refused by the API server. Of the pool `system` no node is started.

The pool is kept as a node group that no API shows: all that makes nodes real is in nodes.py.
"""

from __future__ import annotations

import logging
import time
import uuid

from lab.cloud.ec2 import ec2, machine_images
from lab.cloud.eks import access
from lab.cloud.eks.checks import check_role
from lab.cloud.eks.kube import Kube
from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.node_object import must_move, waits
from lab.cloud.eks.nodes import JOIN, Nodes, add
from lab.cloud.eks.state import Cluster, Node, Nodegroup, Store
from lab.constants import UPDATED_RELEASE

log = logging.getLogger(__name__)

POOL = "general-purpose"
#: https://docs.aws.amazon.com/eks/latest/userguide/set-builtin-node-pools.html
POOLS = (POOL, "system")
#: Tag that names the pool of an instance, and label that names that of a Node.
OF_POOL = "karpenter.sh/nodepool"
#: Of the families C, M and R, which the pool takes its instances from.
INSTANCE_TYPE = "c6a.large"
LIMIT = 3
#: Seconds without pods after which a node ends, as the pool has it on EKS (consolidateAfter).
EMPTY = 30
#: Seconds that the scheduler may take to look at a waiting pod again (its longest backoff, 10), and a few more: until
#: then a new node does not show that another one is needed.
SETTLE = 15
#: Members of requests that are about it.
MEMBERS = ("computeConfig", "kubernetesNetworkConfig", "storageConfig")


def requested(given: Json) -> Json:
    """Returns what DescribeCluster tells of it for a CreateCluster; {} where it is not asked for. Raises EksError."""
    compute = given.get("computeConfig", {})
    balancing = given.get("kubernetesNetworkConfig", {}).get("elasticLoadBalancing", {})
    storage = given.get("storageConfig", {}).get("blockStorage", {})
    asked = {each.get("enabled", False) for each in (compute, balancing, storage)}
    pools, role = compute.get("nodePools", []), compute.get("nodeRoleArn", "")
    if asked == {False}:
        return {}
    wrong = ""
    if asked != {True}:
        wrong = (
            "For EKS Auto Mode, please ensure that all required configs, including computeConfig, "
            "kubernetesNetworkConfig, and blockStorage are all either fully enabled or fully disabled."
        )
    elif given.get("bootstrapSelfManagedAddons", True):
        wrong = "When EKS Auto Mode is enabled, bootstrapSelfManagedAddons must be set to false."
    elif given.get("accessConfig", {}).get("authenticationMode", "CONFIG_MAP") == "CONFIG_MAP":
        wrong = "When EKS Auto Mode is enabled, authenticationMode must be API or API_AND_CONFIG_MAP."
    elif pools and not role:
        wrong = "When Compute Config nodeRoleArn is null or empty, nodePool list cannot be populated."
    elif role and not pools:
        wrong = "When Compute Config nodeRoleArn is not null or empty, nodePool value(s) must be provided."
    elif unknown := [each for each in pools if each not in POOLS]:
        wrong = f"nodePools: {', '.join(unknown)}: EKS has {' and '.join(POOLS)}"
    if wrong:
        raise EksError("InvalidParameterException", wrong)
    told = {"enabled": True, "nodePools": pools}
    if role:
        check_role(role, "ec2.amazonaws.com")
        told["nodeRoleArn"] = role
    return {"computeConfig": told, "storageConfig": {"blockStorage": {"enabled": True}}}


def refuse_change(given: Json) -> None:
    """Raises EksError for an UpdateClusterConfig that is about it."""
    for member in MEMBERS:
        if member in given:
            message = f"{member}: the lab's clusters have EKS Auto Mode from their creation on, or never"
            raise EksError("InvalidParameterException", message)


def begin(cluster: Cluster) -> None:
    """Gives a new cluster what its pools need: the access of their nodes, and the pool itself."""
    compute = cluster.api["computeConfig"]
    if compute["nodePools"]:
        access.grant_auto_nodes(cluster, compute["nodeRoleArn"])
    if POOL in compute["nodePools"]:
        cluster.pools[POOL] = Nodegroup(
            {
                "nodegroupArn": f"{OF_POOL}/{POOL}/{uuid.uuid4()}",
                "releaseVersion": f"{machine_images.KUBERNETES}-{UPDATED_RELEASE}",
                "status": "ACTIVE",
                "health": {"issues": []},
                "instanceTypes": [INSTANCE_TYPE],
                "subnets": cluster.api["resourcesVpcConfig"]["subnetIds"],
                "nodeRole": compute["nodeRoleArn"],
                "labels": {
                    OF_POOL: POOL,
                    "karpenter.sh/capacity-type": "on-demand",
                    "eks.amazonaws.com/compute-type": "auto",
                    "eks.amazonaws.com/nodeclass": "default",
                },
                "taints": [],
            }
        )


class AutoNodes(Nodes):
    """The nodes of one pool."""

    def __init__(self, store: Store, cluster: str, group: str) -> None:
        super().__init__(store, cluster, group)
        self._pods: list[Json] = []
        #: Token of each node without pods -> since when. A new daemon counts anew.
        self._empty: dict[str, float] = {}

    def step(self, kube: Kube) -> bool:
        """Does what can be done now. Returns whether there is more to come soon. Raises as Nodes."""
        self._pods = kube.get("/api/v1/pods")["items"]
        return super().step(kube)

    def end(self, kube: Kube) -> None:
        """Takes the next step towards no nodes and no pool, whether the cluster answers or not."""
        self._delete(kube, self._of(self.store.cluster(self.cluster))[self.group])

    def _empty_or_late(self, kube: Kube, node: Node, machine: ec2.Machine) -> bool:
        """A pool goes with its cluster: its pods have nowhere to go."""
        del kube, node, machine
        return True

    def _of(self, cluster: Cluster) -> dict[str, Nodegroup]:
        return cluster.pools

    def _tags(self, cluster: Cluster) -> dict[str, str]:
        return {"eks:eks-cluster-name": cluster.name, OF_POOL: self.group}

    def _refused(self, message: str) -> None:
        log.warning("%s: no node for the pods that wait: %s", self.cluster, message)
        with self.store.change() as clusters:  # asked for again while they wait
            pool = self._of(clusters[self.cluster])[self.group]
            pool.nodes = [node for node in pool.nodes if node.instance]

    def _decide(self, group: Nodegroup, seen: object) -> bool:
        del group, seen
        now, names = time.time(), {machine.id: machine.hostname for machine in ec2.machines()}
        used = {pod["spec"].get("nodeName") for pod in self._pods if must_move(pod)}
        waiting = any(waits(pod) for pod in self._pods)
        with self.store.change() as clusters:
            cluster = clusters[self.cluster]
            pool = self._of(cluster)[self.group]
            empty = [node for node in pool.nodes if node.phase == "ready" and names.get(node.instance) not in used]
            self._empty = {node.token: self._empty.get(node.token, now) for node in empty}
            if waiting and not empty and len(pool.nodes) < LIMIT and all(_settled(node, now) for node in pool.nodes):
                add(cluster, pool)
            for node in pool.nodes:
                if node.phase == "joining" and now - node.since > JOIN:
                    node.phase = "leaving"  # as Karpenter does, after as long
            for node in empty:
                # One that waits fits on no empty node: those stay, or they would come again and again.
                if not waiting and now - self._empty[node.token] > EMPTY:
                    node.phase, node.since = "draining", now
            return any(node.phase != "ready" for node in pool.nodes)


def _settled(node: Node, now: float) -> bool:
    """Whether it has taken what it will take."""
    return node.phase != "joining" and (node.phase != "ready" or now - node.since > SETTLE)
