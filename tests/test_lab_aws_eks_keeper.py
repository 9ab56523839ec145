"""A cluster from its creation to its end, on a control plane in memory. Each look may be a new daemon's."""

import base64
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.cloud.eks import addon, auto_mode, cluster, controller, node_bootstrap
from lab.cloud.eks.controller import ClusterController
from lab.cloud.eks.eks import Eks
from lab.cloud.eks.kube import Kube, KubeError
from lab.cloud.eks.state import Node, Nodegroup, Store
from lab.errors import Failed, UsageError
from tests.eks_cloud import Account, Api, Cloud, account, cloud, make_cluster, make_group, store
from tests.test_lab_aws_eks_rendering import MACHINE

__all__ = ["account", "cloud", "store"]


class ControlPlane:
    """Hosts by cluster id, and one API server."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.hosts: set[str] = set()
        self.ready = False
        self.trouble: Exception | None = None

    def __call__(self, of: Any) -> Any:
        def ensure() -> None:
            if self.trouble:
                raise self.trouble
            self.hosts.add(of.id)

        pki = SimpleNamespace(pair=lambda _: SimpleNamespace(certificate=b"PEM"))
        return SimpleNamespace(
            ensure=ensure, delete=lambda: self.hosts.discard(of.id), kube=cast(Kube, self.api), pki=pki
        )


@pytest.fixture
def plane(account: Account, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    made = ControlPlane(Api(cloud))
    monkeypatch.setattr(controller, "ControlPlane", made)
    monkeypatch.setattr(Api, "ready", lambda _: made.ready, raising=False)
    groups: dict[str, str] = {}
    monkeypatch.setattr(account, "describe_security_groups", lambda **_: {
        "SecurityGroups": [{"GroupId": each} for each in groups.values()]
    })  # fmt: skip

    def create(**given: Any) -> dict[str, str]:
        assert given["GroupName"] not in groups
        return {"GroupId": groups.setdefault(given["GroupName"], "sg-1")}

    monkeypatch.setattr(account, "create_security_group", create, raising=False)
    monkeypatch.setattr(account, "delete_security_group", lambda GroupId: groups.clear(), raising=False)  # noqa: ARG005
    return made


def look(store: Store) -> bool | None:
    """One look of a daemon that was just started."""
    return ClusterController(store, store.cluster("demo")).step()


def test_a_cluster_is_active_when_its_api_server_is_ready(store: Store, plane: ControlPlane) -> None:
    made = make_cluster(store, status="CREATING")
    assert look(store) is True
    assert plane.hosts == {made.id}
    assert store.cluster("demo").status == "CREATING"
    plane.ready = True
    look(store)
    told = store.cluster("demo").api
    assert told["status"] == "ACTIVE"
    assert told["endpoint"] == "https://198.19.240.2"
    assert base64.b64decode(told["certificateAuthority"]["data"]) == b"PEM"
    assert told["resourcesVpcConfig"]["clusterSecurityGroupId"] == "sg-1"
    kinds = {(each["kind"], each["metadata"]["name"]) for each in plane.api.applied}
    assert {("DaemonSet", "kube-proxy"), ("Deployment", "coredns"), ("Service", "kube-dns")} <= kinds


def test_without_the_addons_of_old(store: Store, plane: ControlPlane) -> None:
    make_cluster(store, status="CREATING")
    with store.change() as clusters:
        clusters["demo"].bare = True
    plane.ready = True
    look(store)
    assert not {each["kind"] for each in plane.api.applied} & {"DaemonSet", "Deployment"}


def automatic(store: Store) -> None:
    make_cluster(store, status="CREATING")
    with store.change() as clusters:
        made = clusters["demo"]
        compute = {"enabled": True, "nodePools": ["general-purpose"], "nodeRoleArn": "arn:node"}
        made.bare, made.api = True, made.api | {"computeConfig": compute}
        auto_mode.begin(made)


def test_in_auto_mode_every_node_has_the_addons_of_old(store: Store, plane: ControlPlane) -> None:
    automatic(store)
    plane.ready = True
    look(store)
    kinds = {(each["kind"], each["metadata"]["name"]) for each in plane.api.applied}
    assert {("DaemonSet", "kube-proxy"), ("DaemonSet", "coredns"), ("Service", "kube-dns")} <= kinds
    assert "Deployment" not in {kind for kind, _ in kinds}, "its pods would have a node come"


def test_nodes_of_auto_mode_come_and_end_with_their_cluster(store: Store, plane: ControlPlane) -> None:
    automatic(store)
    plane.ready = True
    plane.api.waiting = ["a"]
    for _ in range(4):
        look(store)
        plane.api.cloud.settle()
        plane.api.settle()
    assert len(plane.api.joined) == 1
    cluster.delete(store, {"name": "demo"})
    assert look(store) is True
    assert plane.hosts, "the control plane outlives them"
    plane.api.cloud.settle()
    assert look(store) is None
    assert not plane.hosts
    assert {each.state for each in plane.api.cloud.machines()} == {"terminated"}


def test_what_cannot_be_done_is_told(store: Store, plane: ControlPlane) -> None:
    make_cluster(store, status="CREATING")
    plane.trouble = UsageError("the disk is full")
    keeping = ClusterController(store, store.cluster("demo"))
    with pytest.raises(UsageError) as error:
        keeping.step()
    keeping._complain(error.value)
    told = store.cluster("demo").api
    assert told["status"] == "FAILED"
    assert told["health"]["issues"][0]["message"] == "the disk is full"


def test_a_trouble_that_may_pass_is_borne_for_a_while(store: Store, plane: ControlPlane) -> None:  # noqa: ARG001
    make_cluster(store, status="CREATING")
    keeping = ClusterController(store, store.cluster("demo"))
    keeping._complain(Failed("no"))
    assert store.cluster("demo").status == "CREATING"
    with store.change() as clusters:
        clusters["demo"].api["createdAt"] = time.time() - 3600
    keeping._complain(Failed("no"))
    assert store.cluster("demo").status == "FAILED"


def test_deletion_removes_the_host_and_then_the_cluster(store: Store, plane: ControlPlane) -> None:
    make_cluster(store, status="CREATING")
    look(store)
    cluster.delete(store, {"name": "demo"})
    assert look(store) is None
    assert not plane.hosts
    assert store.read() == {}


def test_a_cluster_of_the_same_name_is_another_one(store: Store, plane: ControlPlane) -> None:
    old = make_cluster(store)
    with store.change() as clusters:
        clusters.clear()
    make_cluster(store, status="CREATING")
    assert ClusterController(store, old).step() is None
    assert not plane.hosts


def test_addons_become_active(store: Store, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cluster(store)
    for name in addon.VERSIONS:
        addon.create(store, {"clusterName": "demo", "addonName": name})
    available = {"availableReplicas": 0}
    original = plane.api.get
    monkeypatch.setattr(
        plane.api, "get", lambda path: {"status": available} if path.endswith(addon.DEPLOYMENTS) else original(path)
    )
    assert look(store) is True
    statuses = {name: each["status"] for name, each in store.cluster("demo").addons.items()}
    waiting = dict.fromkeys(addon.DEPLOYMENTS, "CREATING")
    assert statuses == {**dict.fromkeys(addon.STAND_INS, "ACTIVE"), **waiting, "kube-proxy": "ACTIVE"}
    available["availableReplicas"] = 1
    look(store)
    assert store.cluster("demo").addons["coredns"]["status"] == "ACTIVE"
    for replicas, status, issues in ((0, "DEGRADED", 1), (2, "ACTIVE", 0)):
        available["availableReplicas"] = replicas
        look(store)
        described = store.cluster("demo").addons["coredns"]
        assert (described["status"], len(described["health"]["issues"])) == (status, issues)
    addon.delete(store, {"clusterName": "demo", "addonName": "kube-proxy", "preserve": True})
    look(store)
    assert set(store.cluster("demo").addons) == {*addon.DEPLOYMENTS, *addon.STAND_INS}


def test_settings_are_updated(store: Store, plane: ControlPlane) -> None:  # noqa: ARG001
    make_cluster(store)
    update = cluster.update_config(store, {"name": "demo", "upgradePolicy": {"supportType": "STANDARD"}})["update"]
    look(store)
    assert store.cluster("demo").status == "ACTIVE"
    assert store.cluster("demo").updates[update["id"]]["api"]["status"] == "Successful"


def test_one_groups_trouble_is_not_the_others(
    store: Store, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cluster(store)
    make_group(store)
    make_group(store, nodegroupName="other")
    original = controller.Nodes.step

    def step(self: Any, kube: Kube) -> bool:
        if self.group == "ng":
            raise KubeError(0, "no answer")
        return original(self, kube)

    monkeypatch.setattr(controller.Nodes, "step", step)
    for _ in range(4):
        assert look(store) is True
        plane.api.cloud.settle()
        plane.api.settle()
    look(store)
    assert store.cluster("demo").nodegroups["other"].api["status"] == "ACTIVE"


def test_only_an_instance_of_a_group_becomes_a_node(
    store: Store, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert account
    make_cluster(store)
    with store.change() as clusters:
        node = Node(MACHINE.token, "20260901", "198.18.128.0/26", "subnet-a")
        clusters["demo"].nodegroups["ng"] = Nodegroup({}, nodes=[node])
    eks = Eks(store)
    monkeypatch.setattr(node_bootstrap, "bootstrap", lambda _cluster, _group, node, machine: (node.token, machine.id))
    assert eks.bootstrap(MACHINE) == (MACHINE.token, MACHINE.id)
    with store.change() as clusters:
        clusters["demo"].pools, clusters["demo"].nodegroups = clusters["demo"].nodegroups, {}
    assert eks.bootstrap(MACHINE) == (MACHINE.token, MACHINE.id)
    stranger = SimpleNamespace(token="", tags={"eks:cluster-name": "demo"})
    assert eks.bootstrap(cast(Any, stranger)) is None


def test_strangers_have_no_access(store: Store, account: Account) -> None:
    assert account
    make_cluster(store)
    eks = Eks(store)
    user = "arn:aws:iam::123456789012:user/twinplane"
    assert eks.access_entry("demo", user) == (user, ("system:masters",))
    assert eks.access_entry("demo", user + "x") is None
    assert eks.access_entry("other", user) is None
