"""What makes a cluster real: one controller a cluster."""

from __future__ import annotations

import base64
import logging
import time

from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.controller import Controller
from lab.cloud.eks import access, addon, pod_identity_webhook, system, update
from lab.cloud.eks.auto_mode import AutoNodes
from lab.cloud.eks.control_plane import ControlPlane
from lab.cloud.eks.kube import KubeError
from lab.cloud.eks.nodes import Nodes
from lab.cloud.eks.state import Cluster, Store
from lab.errors import Failed, UsageError

log = logging.getLogger(__name__)

#: A control plane that is not ready by then has failed, seconds.
CREATION = 10 * 60
#: What may go wrong on the way, and pass.
EXPECTED = (KubeError, ClientError, Failed, UsageError, OSError)


class ClusterController(Controller):
    """Controls one cluster until it is deleted."""

    def __init__(self, store: Store, cluster: Cluster) -> None:
        super().__init__(f"eks-{cluster.name}")
        self.store, self.cluster, self.id = store, cluster.name, cluster.id
        self._control_plane: ControlPlane | None = None
        self._groups: dict[str, Nodes] = {}
        self._pools: dict[str, AutoNodes] = {}
        self._bound: set[tuple[str, str]] = set()
        self._complaint = ""

    def step(self) -> bool | None:
        """Looks once. Returns whether there is more to do soon; None when the cluster is gone."""
        busy = self._step()
        self._complaint = ""
        return busy

    def failed(self, error: Exception) -> bool:
        """Says an expected trouble once, and looks again soon."""
        if not isinstance(error, EXPECTED):
            return super().failed(error)
        self._complain(error)
        return True

    def _step(self) -> bool | None:
        cluster = self.store.read().get(self.cluster)
        if cluster is None or cluster.id != self.id:
            return None
        if cluster.status == "DELETING":
            return self._delete(cluster)
        if cluster.status == "FAILED":
            return False
        if self._control_plane is None:
            control_plane = ControlPlane(cluster)
            control_plane.ensure()
            self._control_plane = control_plane
        if cluster.status == "CREATING":
            return self._create(cluster, self._control_plane)
        return self._keep(cluster, self._control_plane)

    def _create(self, cluster: Cluster, control_plane: ControlPlane) -> bool:
        group = _security_group(cluster)
        kube = control_plane.kube
        if not kube.ready():
            return True
        components = [] if cluster.bare else [*system.kube_proxy(cluster), *system.coredns(cluster)]
        if cluster.auto:
            components = [*system.kube_proxy(cluster), *system.node_coredns(cluster)]
        for manifest in [*system.access(), pod_identity_webhook.configuration(cluster), *components]:
            kube.apply(manifest)
        with self.store.change() as clusters:
            described = clusters[self.cluster].api
            described["resourcesVpcConfig"]["clusterSecurityGroupId"] = group
            if described["status"] == "CREATING":
                described |= {
                    "status": "ACTIVE",
                    "endpoint": cluster.endpoint,
                    "certificateAuthority": {
                        "data": base64.b64encode(control_plane.pki.pair("ca").certificate).decode()
                    },
                }
        log.info("%s: ACTIVE after %.1f s", self.cluster, time.time() - cluster.api["createdAt"])
        return False

    def _keep(self, cluster: Cluster, control_plane: ControlPlane) -> bool:
        with self.store.change() as clusters:
            # Nothing but the answer depends on a cluster's own settings in the lab.
            present = clusters[self.cluster]
            for each in update.running(present):
                if not any(each["of"].values()):
                    update.end(present, each["api"]["id"])
            if present.status == "UPDATING":
                present.api["status"] = "ACTIVE"
        kube = control_plane.kube
        for policy, namespace in sorted(access.scopes(cluster) - self._bound):
            kube.apply(system.policy_binding(policy, namespace))
            self._bound.add((policy, namespace))
        busy = addon.step(self.store, cluster, kube)
        self._groups = {
            name: self._groups.get(name) or Nodes(self.store, self.cluster, name) for name in cluster.nodegroups
        }
        self._pools = {
            name: self._pools.get(name) or AutoNodes(self.store, self.cluster, name) for name in cluster.pools
        }
        for nodes in [*self._groups.values(), *self._pools.values()]:
            try:
                busy = nodes.step(kube) or busy
            except (KubeError, ClientError, Failed, UsageError) as error:
                # One group's trouble is not the others'.
                busy = True
                self._complain(error)
        return busy

    def _delete(self, cluster: Cluster) -> bool | None:
        """Returns as `step`. Its own nodes go first."""
        for name in cluster.pools:
            AutoNodes(self.store, self.cluster, name).end(ControlPlane(cluster).kube)
        if self.store.cluster(self.cluster).pools:
            return True
        ControlPlane(cluster).delete()
        _delete_security_group(cluster)
        with self.store.change() as clusters:
            del clusters[self.cluster]
        return None

    def _complain(self, error: Exception) -> None:
        """Says each trouble once, and gives a creation up in the end."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            log.warning("%s: %s", self.cluster, error)
        with self.store.change() as clusters:
            cluster = clusters.get(self.cluster)
            if cluster is None or cluster.status != "CREATING":
                return
            if isinstance(error, UsageError) or time.time() - cluster.api["createdAt"] > CREATION:
                issue = {"code": "InternalFailure", "message": str(error), "resourceIds": []}
                cluster.api |= {"status": "FAILED", "health": {"issues": [issue]}}


def _security_group_name(cluster: Cluster) -> str:
    return f"eks-cluster-sg-{cluster.name}-{cluster.id}"


def _find_security_group(cluster: Cluster) -> str | None:
    found = api.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [_security_group_name(cluster)]}]
    )["SecurityGroups"]
    return found[0]["GroupId"] if found else None


def _security_group(cluster: Cluster) -> str:
    """Returns the id of the cluster's own security group, which EKS makes in the caller's VPC."""
    found = _find_security_group(cluster)
    if found:
        return found
    tags = {"Name": _security_group_name(cluster), f"kubernetes.io/cluster/{cluster.name}": "owned"}
    return api.client("ec2").create_security_group(
        GroupName=_security_group_name(cluster),
        Description="EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
        "as well as any managed workloads.",
        VpcId=cluster.api["resourcesVpcConfig"]["vpcId"],
        TagSpecifications=[
            {
                "ResourceType": "security-group",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )["GroupId"]


def _delete_security_group(cluster: Cluster) -> None:
    found = _find_security_group(cluster)
    if found:
        api.client("ec2").delete_security_group(GroupId=found)
