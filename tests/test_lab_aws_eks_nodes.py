"""A node group on a cloud in memory. Each step is a new daemon's: nothing but the store is carried over."""

from typing import Any, cast

import pytest

from lab.cloud.eks import node_object, nodegroup, nodes
from lab.cloud.eks.kube import Kube, KubeError
from lab.cloud.eks.state import Store
from tests.eks_cloud import Account, Api, Cloud, account, cloud, make_cluster, make_group, refused, steps, store

__all__ = ["account", "cloud", "store"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "PARTING", -1)


@pytest.fixture
def cluster(account: Account, cloud: Cloud, store: Store) -> Api:  # noqa: ARG001
    make_cluster(store)
    return Api(cloud)


def step(store: Store, api: Api) -> None:
    """One look of a daemon that was just started, and all that is on its way arrives."""
    again = Store(store.path)
    nodes.Nodes(again, "demo", "ng").step(cast(Kube, api))
    store._clusters = again._clusters
    api.cloud.settle()
    api.settle()


def group(store: Store) -> dict[str, Any]:
    return store.cluster("demo").nodegroups["ng"].api


def until(store: Store, api: Api, status: str) -> None:
    for _ in steps():
        if group(store)["status"] == status:
            return
        step(store, api)


def test_a_group_is_active_when_its_nodes_are_ready(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    step(store, cluster)
    step(store, cluster)
    assert group(store)["status"] == "CREATING"
    until(store, cluster, "ACTIVE")
    assert cloud.launches == 2
    assert {machine.zone for machine in cloud.machines()} == {"us-east-1a", "us-east-1b"}
    assert cloud.routes == {"198.18.128.0/26": "198.18.0.1", "198.18.128.64/26": "198.18.0.2"}
    tags = cloud.machines()[0].tags
    assert tags["eks:cluster-name"] == "demo"
    assert tags["eks:nodegroup-name"] == "ng"


def test_machines_have_the_role_of_their_group(store: Store, cluster: Api, cloud: Cloud, account: Account) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    assert cloud.profiles == set(account.profiles)
    assert list(account.profiles.values()) == [["node"]]
    nodegroup.delete(store, {"clusterName": "demo", "nodegroupName": "ng"})
    for _ in steps():
        if "ng" not in store.cluster("demo").nodegroups:
            break
        step(store, cluster)
    assert account.profiles == {}, "or the role could not be deleted"


def test_a_daemon_killed_between_launch_and_record_launches_once(
    store: Store, cluster: Api, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_group(store, size=1)
    step(store, cluster)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(nodes.Nodes, "_record", killed)
        with pytest.raises(KeyboardInterrupt):
            step(store, cluster)
    until(store, cluster, "ACTIVE")
    assert cloud.launches == 1


def test_an_update_replaces_every_node_and_moves_the_pods(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    cluster.pods = {f"p{n}": name for n, name in enumerate(cluster.joined)}
    update = nodegroup.update_version(store, {"clusterName": "demo", "nodegroupName": "ng"})["update"]
    assert update["status"] == "InProgress"
    for _ in steps():
        if group(store)["status"] == "ACTIVE":
            break
        step(store, cluster)
        assert len({name for name, ready in cluster.joined.items() if ready} - cluster.unschedulable) >= 2
        alive = [machine for machine in cloud.machines() if machine.wanted == "running"]
        assert len(alive) <= 3
    assert store.cluster("demo").updates[update["id"]]["api"]["status"] == "Successful"
    assert {machine.release for machine in cloud.machines() if machine.wanted == "running"} == {"20261101"}
    assert len(cluster.joined) == 2
    assert set(cluster.pods.values()) <= set(cluster.joined)
    assert len(cloud.routes) == 2


def test_another_version_of_the_launch_template_replaces_every_node(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store, launchTemplate={"id": "lt-1", "version": "1"})
    until(store, cluster, "ACTIVE")
    first = {machine.id for machine in cloud.machines()}
    wanted = {"id": "lt-1", "version": "2"}
    release = {"releaseVersion": "1.36.3-20260901"}
    nodegroup.update_version(store, {"clusterName": "demo", "nodegroupName": "ng", "launchTemplate": wanted, **release})
    assert group(store)["status"] == "UPDATING"
    until(store, cluster, "ACTIVE")
    assert group(store)["launchTemplate"] == {"id": "lt-1", "name": "its-name", "version": "2"}
    running = {machine.id for machine in cloud.machines() if machine.wanted == "running"}
    assert len(running) == 2
    assert not running & first
    assert [each["MetadataOptions"]["HttpPutResponseHopLimit"] for each in cloud.templates] == [1, 1, 2, 2]


def test_another_instance_type_is_another_version_of_the_launch_template(
    store: Store, cluster: Api, cloud: Cloud
) -> None:
    make_group(store, launchTemplate={"id": "lt-2", "version": "1"})
    until(store, cluster, "ACTIVE")
    assert {machine.instance_type for machine in cloud.machines()} == {"m7i.large"}


def test_a_failed_update_goes_back_to_the_launch_template_of_before(
    store: Store, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_group(store, size=1, launchTemplate={"id": "lt-1", "version": "1"})
    until(store, cluster, "ACTIVE")
    cluster.pods["p"] = next(iter(cluster.joined))
    cluster.locked.add("p")
    monkeypatch.setattr(nodes, "DRAIN", -1)
    wanted = {"launchTemplate": {"id": "lt-1", "version": "2"}, "releaseVersion": "1.36.3-20261101"}
    nodegroup.update_version(store, {"clusterName": "demo", "nodegroupName": "ng", **wanted})
    until(store, cluster, "ACTIVE")
    assert group(store)["launchTemplate"]["version"] == "1"
    assert group(store)["releaseVersion"] == "1.36.3-20260901"


def test_a_disruption_budget_holds_the_update_up(store: Store, cluster: Api) -> None:
    make_group(store, size=1)
    until(store, cluster, "ACTIVE")
    (old,) = cluster.joined
    cluster.pods, cluster.locked = {"p": old}, {"p"}
    nodegroup.update_version(store, {"clusterName": "demo", "nodegroupName": "ng"})
    for _ in range(20):
        step(store, cluster)
    assert group(store)["status"] == "UPDATING"
    assert old in cluster.joined
    assert old in cluster.unschedulable
    cluster.locked = set()
    until(store, cluster, "ACTIVE")
    assert old not in cluster.joined
    assert cluster.pods["p"] in cluster.joined


def test_load_balancers_let_go_of_an_empty_node_before_it_ends(
    store: Store, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_group(store, size=1)
    until(store, cluster, "ACTIVE")
    (old,) = cluster.joined
    monkeypatch.setattr(nodes, "PARTING", 60)
    nodegroup.delete(store, {"clusterName": "demo", "nodegroupName": "ng"})
    for _ in range(5):
        step(store, cluster)
    assert old in cluster.joined
    assert cluster.changes[old]["metadata"]["labels"] == {nodes.EXCLUDED: "true"}
    monkeypatch.setattr(nodes, "PARTING", -1)
    for _ in range(9):
        if store.cluster("demo").nodegroups:
            step(store, cluster)
    assert not store.cluster("demo").nodegroups


def test_a_drain_that_takes_too_long_fails_the_update_and_keeps_the_node(
    store: Store, cluster: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_group(store, size=1)
    until(store, cluster, "ACTIVE")
    (old,) = cluster.joined
    cluster.pods, cluster.locked = {"p": old}, {"p"}
    update = nodegroup.update_version(store, {"clusterName": "demo", "nodegroupName": "ng"})["update"]
    monkeypatch.setattr(nodes, "DRAIN", -1)
    until(store, cluster, "ACTIVE")
    failed = store.cluster("demo").updates[update["id"]]["api"]
    assert failed["status"] == "Failed"
    assert failed["errors"][0]["errorCode"] == "PodEvictionFailure"
    assert failed["errors"][0]["resourceIds"] == ["t/p"]
    assert old not in cluster.unschedulable
    assert group(store)["releaseVersion"] == "1.36.3-20260901"


def test_a_forced_update_does_not_wait_for_ever(store: Store, cluster: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_group(store, size=1)
    until(store, cluster, "ACTIVE")
    (old,) = cluster.joined
    cluster.pods, cluster.locked = {"p": old}, {"p"}
    nodegroup.update_version(store, {"clusterName": "demo", "nodegroupName": "ng", "force": True})
    monkeypatch.setattr(nodes, "DRAIN", -1)
    until(store, cluster, "ACTIVE")
    assert old not in cluster.joined


def test_an_instance_that_somebody_ended_is_replaced(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    lost = cloud.machines()[0]
    cloud.terminate(lost.id)
    for _ in range(8):
        step(store, cluster)
    assert lost.hostname not in cluster.joined
    assert len(cluster.joined) == 2
    assert group(store)["status"] == "ACTIVE"


def test_another_size(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    for size in (3, 1):
        scaling = {"desiredSize": size}
        nodegroup.update_config(store, {"clusterName": "demo", "nodegroupName": "ng", "scalingConfig": scaling})
        until(store, cluster, "ACTIVE")
        for _ in range(4):
            step(store, cluster)
        assert len(cluster.joined) == size
        assert sum(machine.wanted == "running" for machine in cloud.machines()) == size


def test_deletion_leaves_nothing(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    nodegroup.delete(store, {"clusterName": "demo", "nodegroupName": "ng"})
    for _ in steps():
        if "ng" not in store.cluster("demo").nodegroups:
            break
        step(store, cluster)
    assert not cluster.joined
    assert not cloud.routes
    assert {machine.state for machine in cloud.machines()} == {"terminated"}


def gone(store: Store, cluster: Api) -> bool:
    for _ in range(30):
        if "ng" not in store.cluster("demo").nodegroups:
            return True
        step(store, cluster)
    return False


def test_deletion_drains_all_nodes_at_once_under_disruption_budgets(
    store: Store, cluster: Api, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    first, second = cluster.joined
    cluster.pods, cluster.locked = {"p": first, "q": second}, {"p"}
    nodegroup.delete(store, {"clusterName": "demo", "nodegroupName": "ng"})
    assert not gone(store, cluster)
    assert cluster.unschedulable == {first, second}
    assert [machine.hostname for machine in cloud.machines() if machine.wanted == "running"] == [first]
    assert cluster.pods == {"p": first, "q": ""}
    monkeypatch.setattr(nodes, "FAREWELL", -1)
    assert gone(store, cluster), "a budget holds a deletion up for a time"
    assert {machine.state for machine in cloud.machines()} == {"terminated"}


def test_deletion_goes_on_when_the_budget_allows_it(store: Store, cluster: Api) -> None:
    make_group(store, size=1)
    until(store, cluster, "ACTIVE")
    cluster.pods, cluster.locked = {"p": next(iter(cluster.joined))}, {"p"}
    nodegroup.delete(store, {"clusterName": "demo", "nodegroupName": "ng"})
    assert not gone(store, cluster)
    cluster.locked = set()
    assert gone(store, cluster)
    assert cluster.pods == {"p": ""}


def test_deletion_in_the_middle_of_an_update(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    update = nodegroup.update_version(store, {"clusterName": "demo", "nodegroupName": "ng"})["update"]
    for _ in range(3):
        step(store, cluster)
    nodegroup.delete(store, {"clusterName": "demo", "nodegroupName": "ng"})
    for _ in steps():
        if "ng" not in store.cluster("demo").nodegroups:
            break
        step(store, cluster)
    assert store.cluster("demo").updates[update["id"]]["api"]["status"] == "Failed"
    assert {machine.state for machine in cloud.machines()} == {"terminated"}


def test_deletion_needs_no_answer_from_the_cluster(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    cluster.down = True
    nodegroup.delete(store, {"clusterName": "demo", "nodegroupName": "ng"})
    for _ in range(3):
        if "ng" in store.cluster("demo").nodegroups:
            step(store, cluster)
    assert "ng" not in store.cluster("demo").nodegroups
    assert {machine.state for machine in cloud.machines()} == {"terminated"}


def test_an_instance_that_ec2_refuses_is_told(
    store: Store, cluster: Api, monkeypatch: pytest.MonkeyPatch, cloud: Cloud
) -> None:
    make_group(store, instanceTypes=["x9.tiny"])

    def refuse(**_: Any) -> str:
        raise refused("InvalidInstanceType", "The following supplied instance types do not exist: [x9.tiny]")

    with monkeypatch.context() as patch:
        patch.setattr(nodes.ec2, "launch", refuse)
        until(store, cluster, "CREATE_FAILED")
    (issue,) = group(store)["health"]["issues"]
    assert issue["code"] == "AsgInstanceLaunchFailures"
    assert "x9.tiny" in issue["message"]
    until(store, cluster, "ACTIVE")
    assert group(store)["health"]["issues"] == []
    assert cloud.launches == 2


def test_nodes_that_never_join_are_told(store: Store, cluster: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_group(store)
    monkeypatch.setattr(cluster, "settle", lambda: None)
    monkeypatch.setattr(nodes, "JOIN", -1)
    until(store, cluster, "CREATE_FAILED")
    issue = group(store)["health"]["issues"][0]
    assert issue["code"] == "NodeCreationFailure"


def test_an_api_server_that_does_not_answer_changes_nothing(store: Store, cluster: Api, cloud: Cloud) -> None:
    make_group(store)
    until(store, cluster, "ACTIVE")
    before = store.path.read_text()
    cluster.down = True
    with pytest.raises(KubeError):
        step(store, cluster)
    assert store.path.read_text() == before
    assert all(machine.wanted == "running" for machine in cloud.machines())


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"metadata": {}}, True),
        ({"metadata": {"ownerReferences": [{"kind": "DaemonSet", "controller": True}]}}, False),
        ({"metadata": {"ownerReferences": [{"kind": "ReplicaSet", "controller": True}]}}, True),
        ({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}, False),
        ({"metadata": {}, "status": {"phase": "Succeeded"}}, False),
    ],
)
def test_what_a_drain_waits_for(pod: dict[str, Any], expected: bool) -> None:
    assert node_object.must_move(pod) is expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [({"maxUnavailable": 2}, 2), ({"maxUnavailablePercentage": 50}, 5), ({"maxUnavailablePercentage": 1}, 1), ({}, 1)],
)
def test_how_many_at_once(config: dict[str, int], expected: int) -> None:
    assert nodes.at_once({"updateConfig": config, "scalingConfig": {"desiredSize": 10}}) == expected


@pytest.mark.parametrize(
    ("status", "taint", "expected"),
    [
        ("True", "node.kubernetes.io/unschedulable", True),
        ("False", "other", False),
        ("True", "node.kubernetes.io/not-ready", False),
        ("True", "node.cloudprovider.kubernetes.io/uninitialized", False),
    ],
)
def test_a_node_is_ready_when_pods_can_run_there(status: str, taint: str, expected: bool) -> None:
    conditions = [{"type": "Ready", "status": status}, {"type": "DiskPressure", "status": "False"}]
    node = {"status": {"conditions": conditions}, "spec": {"taints": [{"key": taint, "effect": "NoSchedule"}]}}
    assert node_object.is_ready(node) is expected


GROUP = {"labels": {"a": "1"}, "taints": [{"key": "k", "value": "v", "effect": "NO_SCHEDULE"}]}
TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}
OTHER = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}


def _node(**values: Any) -> dict[str, Any]:
    metadata = {"labels": values.get("labels", {}), "annotations": values.get("annotations", {})}
    return {"metadata": metadata, "spec": {"taints": values.get("taints", [])}}


def test_a_running_node_gets_what_its_group_gets() -> None:
    change = node_object.adjust(_node(taints=[OTHER]), GROUP)
    assert change["metadata"]["labels"] == {"a": "1"}
    assert change["spec"]["taints"] == [OTHER, TAINT]
    after = _node(labels={"a": "1"}, annotations=change["metadata"]["annotations"], taints=[OTHER, TAINT])
    assert node_object.adjust(after, GROUP) == {}
    gone = node_object.adjust(after, {"labels": {}, "taints": []})
    assert gone["metadata"]["labels"] == {"a": None}
    assert gone["spec"]["taints"] == [OTHER]
    assert node_object.adjust(_node(taints=[OTHER]), {"labels": {}, "taints": []}) == {}
    joined = node_object.adjust(_node(labels={"a": "1"}, taints=[OTHER]), {"labels": {"a": "1"}, "taints": []})
    assert set(joined) == {"metadata"}, "taints that are right stay as others have them"
