"""What the lab's EKS knows: one JSON file, whole at every moment, from which everything resumes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab import whole_file
from lab.cloud.eks.model import EksError, Json


@dataclass
class Node:
    """One node of a group. It has its address block before it has its instance."""

    token: str  # names its launch, see lab.cloud.ec2.ec2.launch
    release: str  # of the host image, such as 20261101
    block: str  # CIDR of its pods
    subnet: str
    template: str = ""  # launch template and version, see launch_template.mark
    instance: str = ""
    phase: str = "joining"  # joining | ready | draining | leaving
    since: float = field(default_factory=time.time)  # of the phase, seconds since the epoch


@dataclass
class Nodegroup:
    """`api` is what DescribeNodegroup answers."""

    api: Json
    nodes: list[Node] = field(default_factory=list)
    launched: int = 0  # counts launches, for tokens that never repeat
    update: str = ""  # id of the version update under way
    force: bool = False  # of that update


@dataclass
class Cluster:
    """`api` is what DescribeCluster answers; what it does not tell is beside it."""

    api: Json
    id: str  # names its host and its folder
    address: str  # of the control plane
    pods: str  # CIDR of all its pods
    bare: bool = False  # without the add-ons that EKS installs by itself
    nodegroups: dict[str, Nodegroup] = field(default_factory=dict)
    pools: dict[str, Nodegroup] = field(default_factory=dict)  # of Auto Mode, see auto_mode.py
    addons: dict[str, Json] = field(default_factory=dict)
    entries: dict[str, Json] = field(default_factory=dict)  # by principal ARN: {"api": ..., "policies": {arn: ...}}
    associations: dict[str, Json] = field(default_factory=dict)  # of Pod Identity, by id
    tokens: dict[str, str] = field(default_factory=dict)  # by ARN, of the request that made it
    updates: dict[str, Json] = field(default_factory=dict)  # by id: {"api": ..., "of": {nodegroupName?, addonName?}}

    @property
    def name(self) -> str:
        return str(self.api["name"])

    @property
    def endpoint(self) -> str:
        """Returns the URL of the API server, known before it answers."""
        return f"https://{self.address}"

    @property
    def status(self) -> str:
        return str(self.api["status"])

    @property
    def auto(self) -> bool:
        """Returns whether EKS starts its nodes by itself."""
        return bool(self.api.get("computeConfig", {}).get("enabled"))

    @property
    def groups(self) -> list[Nodegroup]:
        """Returns all that has nodes: node groups and pools."""
        return [*self.nodegroups.values(), *self.pools.values()]

    def made(self, arn: str, given: Json) -> None:
        """Notes which request made what has the ARN."""
        self.tokens[arn] = given.get("clientRequestToken", "")

    def made_by(self, arn: str, given: Json) -> bool:
        """Returns whether it is that request again, whose first answer did not arrive."""
        token = self.tokens.get(arn)
        return bool(token) and given.get("clientRequestToken") == token

    @classmethod
    def parse(cls, values: Json) -> Cluster:
        """Returns the cluster that `asdict` had made `values` of."""
        for group in values["nodegroups"].values():
            group.pop("token", None)  # a file of before `tokens`
        groups = {
            kind: {
                name: Nodegroup(**group | {"nodes": [Node(**node) for node in group["nodes"]]})
                for name, group in values.get(kind, {}).items()
            }
            for kind in ("nodegroups", "pools")
        }
        return cls(**values | groups)


class Store:
    """All clusters by name. Never call a host, EC2 or a cluster inside `change`: every request waits for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._clusters = self._load()

    def _load(self) -> dict[str, Cluster]:
        try:
            values = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        return {name: Cluster.parse(cluster) for name, cluster in values.items()}

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Cluster]]:
        """The clusters to change; on disk when the block ends, unchanged if it raises."""
        with self._lock:
            before = deepcopy(self._clusters)
            try:
                yield self._clusters
                if self._clusters != before:
                    self._save()
            except BaseException:
                self._clusters = before
                raise

    def read(self) -> dict[str, Cluster]:
        """Returns a copy of the clusters."""
        with self._lock:
            return deepcopy(self._clusters)

    def cluster(self, name: str) -> Cluster:
        """Returns a copy of one cluster. Raises EksError when there is none."""
        return find(self.read(), name)

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole_file.write(self.path, json.dumps({name: asdict(each) for name, each in self._clusters.items()}))


def find(clusters: dict[str, Cluster], name: str) -> Cluster:
    """Returns the cluster of that name. Raises EksError when there is none."""
    if name not in clusters:
        raise EksError("ResourceNotFoundException", f"No cluster found for name: {name}.", clusterName=name)
    return clusters[name]


def find_nodegroup(cluster: Cluster, name: str) -> Nodegroup:
    """Returns the node group of that name. Raises EksError when there is none."""
    if name not in cluster.nodegroups:
        raise EksError(
            "ResourceNotFoundException", f"No node group found for name: {name}.",
            clusterName=cluster.name, nodegroupName=name,
        )  # fmt: skip
    return cluster.nodegroups[name]
