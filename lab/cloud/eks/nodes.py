"""The nodes of one node group made real, one small step at a time: launched, routed, watched, drained, ended."""

from __future__ import annotations

import logging
import time
from ipaddress import IPv4Network

from botocore.exceptions import ClientError

from lab.cloud.ec2 import ec2
from lab.cloud.eks import instance_profile, launch_template, update
from lab.cloud.eks.kube import Kube, KubeError
from lab.cloud.eks.model import Json
from lab.cloud.eks.node_bootstrap import BLOCK
from lab.cloud.eks.node_object import adjust, is_ready, must_move
from lab.cloud.eks.rolling import Seen, plan
from lab.cloud.eks.state import Cluster, Node, Nodegroup, Store

log = logging.getLogger(__name__)

#: As EKS: a drain that takes longer fails the update unless it was forced, seconds.
DRAIN = 15 * 60
#: As EKS: a node that goes with its group is drained no longer, seconds
#: (https://docs.aws.amazon.com/eks/latest/userguide/delete-managed-node-group.html).
FAREWELL = 5 * 60
#: So long load balancers have to send nothing more to a node, seconds. EKS waits for 60
#: (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html); controllers here are quick.
PARTING = 6
#: On a node that goes: controllers take it out of their load balancers.
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
#: A node that has not joined by then makes the creation fail, seconds; EKS waits about as long.
JOIN = 15 * 60


class Nodes:
    """One group of one cluster. Lives as long as the daemon; everything that must last is in the store."""

    def __init__(self, store: Store, cluster: str, group: str) -> None:
        self.store, self.cluster, self.group = store, cluster, group
        self._routed: set[str] = set()

    def step(self, kube: Kube) -> bool:
        """Does what can be done now. Returns whether there is more to come soon. Raises KubeError, ClientError,
        Failed."""
        cluster = self.store.cluster(self.cluster)
        group = self._of(cluster)[self.group]
        if group.api["status"] == "DELETING":
            return self._delete(kube, group)
        machines = {machine.id: machine for machine in ec2.machines()}
        objects = {node["metadata"]["name"]: node for node in kube.get("/api/v1/nodes")["items"]}
        seen: list[Seen] = []
        for node in group.nodes:
            if not node.instance:
                if not self._launch(cluster, group, node):
                    return False
                machines = {machine.id: machine for machine in ec2.machines()}
            machine = machines.get(node.instance)
            if machine is None or machine.state == "terminated":
                self._forget(kube, node, machine)
                continue
            if machine.wanted != "running" and node.phase != "leaving":
                self._phase(node, "leaving")  # somebody ended it: another one takes its place
            known = objects.get(machine.hostname)
            ready = bool(known) and is_ready(known or {})
            if node.phase == "leaving":
                if machine.wanted != "terminated":
                    ec2.terminate(node.instance)
            elif node.phase == "draining":
                self._drain(kube, group, node, machine.hostname)
            else:
                self._route(node, machine)
                if known and (change := adjust(known, group.api)):
                    kube.patch(f"/api/v1/nodes/{machine.hostname}", change)
                if ready and node.phase == "joining":
                    self._phase(node, "ready")
            current = machine.release == _release(group) and node.template == launch_template.mark(group.api)
            seen.append(Seen(node.token, node.phase, ready, current))
        return self._decide(group, seen)

    def _decide(self, group: Nodegroup, seen: list[Seen]) -> bool:
        api = group.api
        with self.store.change() as clusters:
            cluster = clusters[self.cluster]
            present = self._of(cluster)[self.group]
            if present.api != api:
                return True  # asked for something else meanwhile
            next_ = plan(seen, api["scalingConfig"]["desiredSize"], at_once(api))
            for token in next_.drain:
                node = next(node for node in present.nodes if node.token == token)
                node.phase, node.since = "draining", time.time()
            for _ in range(next_.launch):
                add(cluster, present)
            if next_.done:
                self._done(cluster, present)
            elif late := [n for n in present.nodes if n.phase == "joining" and time.time() - n.since > JOIN]:
                ids = [node.instance for node in late]
                _fail_creation(present, "NodeCreationFailure", "Instances failed to join the kubernetes cluster", ids)
            return not next_.done

    def _delete(self, kube: Kube, group: Nodegroup) -> bool:
        """Drains all nodes at once, and ends each when it is empty, or was given its time."""
        for node in group.nodes:
            machines = [each for each in ec2.machines() if node.token == each.token]
            if node.phase not in {"draining", "leaving"}:
                self._phase(node, "draining")
            if node.phase == "draining":
                if not all(self._empty_or_late(kube, node, each) for each in machines if each.wanted == "running"):
                    continue
                self._phase(node, "leaving")
            for machine in machines:
                if machine.wanted != "terminated":
                    ec2.terminate(machine.id)
            if all(each.state == "terminated" for each in ec2.machines() if node.token == each.token):
                self._forget(kube, node, machines[-1] if machines else None, unanswered=True)
        instance_profile.delete(group.api)
        with self.store.change() as clusters:
            cluster = clusters[self.cluster]
            if not self._of(cluster)[self.group].nodes:
                del self._of(cluster)[self.group]
        return True

    def _done(self, cluster: Cluster, group: Nodegroup) -> None:
        if group.api["status"] != "ACTIVE" or group.api["health"]["issues"]:
            group.api |= {"status": "ACTIVE", "modifiedAt": time.time(), "health": {"issues": []}}
        for each in update.running(cluster):
            if each["of"]["nodegroup"] == self.group:
                update.end(cluster, each["api"]["id"])
        group.update = ""

    def _launch(self, cluster: Cluster, group: Nodegroup, node: Node) -> bool:
        """Returns whether there is an instance now; why not is in the group's health."""
        try:
            template = launch_template.data(node.template)
            node.instance = ec2.launch(
                release=node.release,
                subnet_id=node.subnet,
                instance_type=template.get("InstanceType") or group.api["instanceTypes"][0],
                tags=self._tags(cluster) | {f"kubernetes.io/cluster/{cluster.name}": "owned"},
                token=node.token,
                security_group=cluster.api["resourcesVpcConfig"]["clusterSecurityGroupId"],
                template=template,
                profile=instance_profile.ensure(group.api),
            )
        except ClientError as error:
            self._refused(error.response["Error"]["Message"])
            return False
        self._record(node.token, instance=node.instance)
        return True

    def _of(self, cluster: Cluster) -> dict[str, Nodegroup]:
        """Where the group is."""
        return cluster.nodegroups

    def _tags(self, cluster: Cluster) -> dict[str, str]:
        """By which one knows a machine of the group."""
        return {"eks:cluster-name": cluster.name, "eks:nodegroup-name": self.group}

    def _refused(self, message: str) -> None:
        """EC2 starts no machine."""
        with self.store.change() as clusters:
            present = self._of(clusters[self.cluster])[self.group]
            _fail_creation(present, "AsgInstanceLaunchFailures", message, [])

    def _phase(self, node: Node, phase: str) -> None:
        node.phase = phase
        self._record(node.token, phase=phase, since=time.time())

    def _record(self, token: str, **values: object) -> None:
        with self.store.change() as clusters:
            for node in self._of(clusters[self.cluster])[self.group].nodes:
                if node.token == token:
                    for name, value in values.items():
                        setattr(node, name, value)

    def _route(self, node: Node, machine: ec2.Machine) -> None:
        if node.token in self._routed or (machine.state == "pending" and machine.wanted != "running"):
            return
        from lab.machines import network

        network.route(node.block, machine.address)
        self._routed.add(node.token)

    def _forget(self, kube: Kube, node: Node, machine: ec2.Machine | None, *, unanswered: bool = False) -> None:
        """As EKS's cloud controller: the Node of an instance that is gone goes too."""
        from lab.machines import network

        network.unroute(node.block)
        try:
            if machine:
                kube.delete(f"/api/v1/nodes/{machine.hostname}")
        except KubeError:
            if not unanswered:
                raise
        with self.store.change() as clusters:
            group = self._of(clusters[self.cluster])[self.group]
            group.nodes = [each for each in group.nodes if each.token != node.token]

    def _empty_or_late(self, kube: Kube, node: Node, machine: ec2.Machine) -> bool:
        """Returns whether a node of a group that goes may end. A cluster that does not answer holds nothing up."""
        if time.time() - node.since > FAREWELL:
            return True
        try:
            return not _evict(kube, machine.hostname) and time.time() - node.since > PARTING
        except KubeError as error:
            if error.status not in {0, 404}:
                raise
            return True

    def _drain(self, kube: Kube, group: Nodegroup, node: Node, name: str) -> None:
        left, since = _evict(kube, name), time.time() - node.since
        late = since > DRAIN
        if (not left and since > PARTING) or (late and (group.force or not group.update)):
            self._phase(node, "leaving")
        elif late:
            kube.patch(f"/api/v1/nodes/{name}", _open(True))
            self._fail(group, [f"{pod['namespace']}/{pod['name']}" for pod in left])

    def _fail(self, group: Nodegroup, pods: list[str]) -> None:
        """The nodes that still are stay, as they are; the next update takes up where this one ended."""
        message = f"Reached max retries while trying to evict pods from nodes in node group {self.group}"
        error = {"errorCode": "PodEvictionFailure", "errorMessage": message, "resourceIds": pods}
        with self.store.change() as clusters:
            cluster = clusters[self.cluster]
            present = self._of(cluster)[self.group]
            update.end(cluster, group.update, [error])
            for node in present.nodes:
                if node.phase == "draining":
                    node.phase = "ready"
            marked = launch_template.mark(group.api)
            of = [node for node in present.nodes if (node.release, node.template) != (_release(group), marked)]
            version = group.api["releaseVersion"].rpartition("-")[0]
            present.api |= {"status": "ACTIVE", "releaseVersion": f"{version}-{of[0].release}"}
            if marked:
                present.api["launchTemplate"]["version"] = of[0].template.rpartition(":")[2]
            present.update = ""


def _evict(kube: Kube, name: str) -> list[Json]:
    """Cordons a node and asks for the eviction of its pods. Returns the metadata of those that are still there."""
    kube.patch(f"/api/v1/nodes/{name}", _open(False))
    pods = kube.get(f"/api/v1/pods?fieldSelector=spec.nodeName={name}")["items"]
    left = [pod["metadata"] for pod in pods if must_move(pod)]
    for pod in left:
        if "deletionTimestamp" not in pod:
            kube.evict(pod["namespace"], pod["name"])
    return left


def _open(wanted: bool) -> Json:
    """Returns the change of a Node by which pods and load balancers come to it, or leave it alone."""
    labels = {EXCLUDED: None if wanted else "true"}
    return {"metadata": {"labels": labels}, "spec": {"unschedulable": None if wanted else True}}


def at_once(api: Json) -> int:
    """Returns how many nodes an update may take at a time."""
    config = api["updateConfig"]
    share = config.get("maxUnavailablePercentage", 0) * api["scalingConfig"]["desiredSize"] // 100
    return max(1, int(config.get("maxUnavailable", 0)), int(share))


def _fail_creation(group: Nodegroup, code: str, message: str, resources: list[str]) -> None:
    """A group that was up once stays ACTIVE, with the issue in its health."""
    group.api["health"] = {"issues": [{"code": code, "message": message, "resourceIds": resources}]}
    if group.api["status"] == "CREATING":
        group.api["status"] = "CREATE_FAILED"


def _release(group: Nodegroup) -> str:
    return str(group.api["releaseVersion"]).rpartition("-")[2]


def add(cluster: Cluster, group: Nodegroup) -> None:
    """Adds a node that is to be launched, if there are pod addresses for it."""
    taken = {node.block for each in cluster.groups for node in each.nodes}
    blocks = (str(net) for net in IPv4Network(cluster.pods).subnets(new_prefix=BLOCK))
    block = next((each for each in blocks if each not in taken), None)
    if block is None:
        log.warning("%s: no pod addresses left for another node", cluster.name)
        return
    # Zones are kept even: the subnet with the fewest nodes is next.
    used = [node.subnet for node in group.nodes]
    subnet = min(group.api["subnets"], key=used.count)
    token = f"{cluster.id}-{group.api['nodegroupArn'][-12:]}-{group.launched}"
    group.launched += 1
    group.nodes.append(Node(token, _release(group), block, subnet, launch_template.mark(group.api)))
