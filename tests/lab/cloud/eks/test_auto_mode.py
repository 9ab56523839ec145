"""Auto Mode's nodes on a cloud in memory. Each look is a new daemon's, but where one has to last."""

from typing import Any, cast

import pytest

from lab.cloud.eks import auto_mode, cluster, node_bootstrap, node_object, nodes
from lab.cloud.eks.auto_mode import POOL, AutoNodes
from lab.cloud.eks.kube import Kube
from lab.cloud.eks.state import Store
from tests.support.eks_cloud import MACHINE, ROLE, USER, WAITS, Account, Api, Cloud, account, cloud, refused, store

__all__ = ["account", "cloud", "store"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "PARTING", -1)


@pytest.fixture
def api(account: Account, cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Api:  # noqa: ARG001
    """Of a cluster in Auto Mode, where nothing has to wait."""
    on = {"enabled": True}
    given = {
        "name": "demo",
        "roleArn": ROLE + "eks",
        "resourcesVpcConfig": {"subnetIds": ["subnet-a", "subnet-b"]},
        "accessConfig": {"authenticationMode": "API"},
        "bootstrapSelfManagedAddons": False,
        "computeConfig": on | {"nodePools": [POOL], "nodeRoleArn": ROLE + "node"},
        "kubernetesNetworkConfig": {"elasticLoadBalancing": on},
        "storageConfig": {"blockStorage": on},
    }
    cluster.create(store, given, USER)
    with store.change() as clusters:
        clusters["demo"].api["status"] = "ACTIVE"
        clusters["demo"].api["resourcesVpcConfig"]["clusterSecurityGroupId"] = "sg-1"
    monkeypatch.setattr(auto_mode, "EMPTY", -1)
    monkeypatch.setattr(auto_mode, "SETTLE", -1)
    return Api(cloud)


def look(store: Store, api: Api, times: int = 1) -> bool:
    """So many looks, and all that is on its way arrives. Returns what the last one said."""
    busy = False
    for _ in range(times):
        again = Store(store.path)
        busy = AutoNodes(again, "demo", POOL).step(cast(Kube, api))
        store._clusters = again._clusters
        api.cloud.settle()
        api.settle()
    return busy


def phases(store: Store) -> list[str]:
    return [each.phase for each in store.cluster("demo").pools[POOL].nodes]


def test_no_node_without_a_pod_that_waits(store: Store, api: Api, cloud: Cloud) -> None:
    assert look(store, api, 3) is False
    assert cloud.launches == 0


def test_a_node_comes_for_pods_that_wait_and_one_at_a_time(
    store: Store, api: Api, cloud: Cloud, account: Account
) -> None:
    api.waiting = ["a", "b"]
    assert look(store, api) is True
    look(store, api, 2)
    assert phases(store) == ["ready"]
    [machine] = cloud.machines()
    assert machine.instance_type == "c6a.large"
    assert machine.tags == {
        "eks:eks-cluster-name": "demo", "karpenter.sh/nodepool": POOL, "kubernetes.io/cluster/demo": "owned",
    }  # fmt: skip
    assert list(account.profiles.values()) == [["node"]]
    assert cloud.routes == {"198.18.128.0/26": "198.18.0.1"}
    api.pods, api.waiting = {"a": machine.hostname}, ["b"]
    look(store, api, 3)
    assert phases(store) == ["ready", "ready"]
    assert cloud.launches == 2
    assert {each.zone for each in cloud.machines()} == {"us-east-1a", "us-east-1b"}


def test_a_node_joins_with_the_labels_of_its_pool(store: Store, api: Api) -> None:
    api.waiting = ["a"]
    look(store, api)
    assert node_bootstrap.node_labels(store.cluster("demo").pools[POOL], MACHINE) == {
        "eks.amazonaws.com/compute-type": "auto",
        "eks.amazonaws.com/nodeclass": "default",
        "karpenter.sh/capacity-type": "on-demand",
        "karpenter.sh/nodepool": POOL,
    }


def test_a_new_node_is_given_time_to_take_pods(store: Store, api: Api, cloud: Cloud, monkeypatch: Any) -> None:
    api.waiting = ["a"]
    look(store, api, 3)
    api.pods = {"b": cloud.machines()[0].hostname}
    monkeypatch.setattr(auto_mode, "SETTLE", 60)
    look(store, api, 2)
    assert cloud.launches == 1


def test_there_is_a_limit(store: Store, api: Api, cloud: Cloud) -> None:
    api.waiting = ["a"]
    for _ in range(20):
        look(store, api)
        api.pods |= {each.hostname: each.hostname for each in cloud.machines()}
    assert cloud.launches == auto_mode.LIMIT


def test_a_pod_that_fits_nowhere_has_one_node_come(store: Store, api: Api, cloud: Cloud) -> None:
    api.waiting = ["a"]
    assert look(store, api, 10) is False, "or it would look twice a second for ever"
    assert (cloud.launches, phases(store)) == (1, ["ready"])


def test_an_empty_node_goes_after_a_while(store: Store, api: Api, cloud: Cloud, monkeypatch: Any) -> None:
    api.waiting = ["a", "b"]
    look(store, api, 3)
    first = cloud.machines()[0]
    api.pods = {"a": first.hostname}
    look(store, api, 3)
    api.waiting = []
    monkeypatch.setattr(auto_mode, "EMPTY", 60)
    lasting = AutoNodes(store, "demo", POOL)
    for _ in range(3):
        lasting.step(cast(Kube, api))
    assert phases(store) == ["ready", "ready"]
    monkeypatch.setattr(auto_mode, "EMPTY", -1)
    look(store, api, 6)
    assert phases(store) == ["ready"]
    assert [each.hostname for each in cloud.machines() if each.wanted == "running"] == [first.hostname]
    assert set(api.joined) == {first.hostname}
    assert len(cloud.routes) == 1


def test_a_node_that_never_joins_goes(store: Store, api: Api, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    api.waiting = ["a"]
    look(store, api)
    monkeypatch.setattr(api, "settle", lambda: None)
    monkeypatch.setattr(auto_mode, "JOIN", -1)
    look(store, api, 4)
    assert cloud.machines()[0].state == "terminated"
    assert cloud.launches > 1, "another one is tried"


def test_a_node_that_ends_holds_no_new_one_up(store: Store, api: Api, cloud: Cloud) -> None:
    api.waiting = ["a"]
    look(store, api, 3)
    api.waiting = []
    look(store, api)
    assert phases(store) == ["draining"]
    api.waiting = ["b"]
    look(store, api, 2)
    assert cloud.launches == 2


def test_a_killed_daemon_launches_once(store: Store, api: Api, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    api.waiting = ["a"]
    look(store, api)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AutoNodes, "_record", killed)
        with pytest.raises(KeyboardInterrupt):
            look(store, api)
    look(store, api, 3)
    assert cloud.launches == 1


def test_a_machine_that_ec2_refuses_is_logged(
    store: Store, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: Any) -> str:
        raise refused("InstanceLimitExceeded", "You have requested more instances")

    api.waiting = ["a"]
    monkeypatch.setattr(auto_mode.ec2, "launch", refuse)
    assert look(store, api, 2) is False
    assert "demo: no node for the pods that wait: You have requested more instances" in caplog.text
    assert phases(store) == []


def test_the_end_needs_no_answer(store: Store, api: Api, cloud: Cloud, account: Account) -> None:
    api.waiting = ["a"]
    look(store, api, 3)
    api.down = True
    for _ in range(2):
        AutoNodes(store, "demo", POOL).end(cast(Kube, api))
        cloud.settle()
    assert store.cluster("demo").pools == {}
    assert {each.state for each in cloud.machines()} == {"terminated"}
    assert (account.profiles, cloud.routes) == ({}, {})


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"metadata": {}, **WAITS}, True),
        ({"metadata": {"deletionTimestamp": "now"}, **WAITS}, False),
        ({"metadata": {"ownerReferences": [{"kind": "DaemonSet", "controller": True}]}, **WAITS}, False),
        ({"metadata": {}, "status": {"conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}}, False),
        ({"metadata": {}, "status": {"phase": "Running"}}, False),
    ],
)
def test_what_a_node_comes_for(pod: Any, expected: bool) -> None:
    assert node_object.waits(pod) is expected
