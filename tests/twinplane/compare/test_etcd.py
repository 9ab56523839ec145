"""etcd that came back without its data is not an etcd that runs."""

from typing import Any

from tests.support.compare_cases import FACTS, HEALTH, NODES, cluster

CONFIG = "GET /api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3Dkubeadm-config"
LOST = "self-managed-lab: etcd: new and empty: restore it from a snapshot in the bucket backups-0123abc"


def forbidden(answers: dict[str, Any]) -> None:
    """Without its data the cluster knows no right of the kubeconfig's user."""
    for question in answers:
        if question.startswith("GET /api") and "readyz" not in question:
            answers[question] = {"error": "403 Forbidden"}
    answers['ec2 describe_images {"ImageIds": []}'] = {"error": "no image"}


def test_etcd_itself_says_that_it_is_empty() -> None:
    def change(answers: dict[str, Any]) -> None:
        forbidden(answers)
        answers[FACTS]["facts"]["cp-1"]["etcd"]["initialized"] = False

    found = cluster("self-managed", change)
    assert list(found.troubles()) == [LOST, "self-managed-lab: nodes: not shown: 403 Forbidden"]
    evidence = {each.probe: each.answer for each in found.components["etcd"]["running"].evidence}
    assert evidence["kubeadm_config"] == {"error": "403 Forbidden"}
    assert evidence["machines"]["cp-1"].initialized is False


def test_the_api_says_it_where_no_machine_does() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS]["facts"]["cp-1"]["etcd"] = {}
        answers[CONFIG]["items"] = []

    assert next(cluster("self-managed", change).troubles()) == LOST


def test_machines_that_are_up_without_any_node_say_it() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS]["facts"]["cp-1"]["etcd"] = {}
        answers[CONFIG] = {"error": "403 Forbidden"}
        answers[NODES]["items"] = []
        answers['ec2 describe_images {"ImageIds": []}'] = {"error": "no image"}

    assert next(cluster("self-managed", change).troubles()) == LOST


def test_an_etcd_that_is_down_is_not_empty_and_comes_before_what_follows() -> None:
    def change(answers: dict[str, Any]) -> None:
        forbidden(answers)
        answers[HEALTH] = "[+]ping ok\n[-]etcd failed: reason withheld\n"
        facts = answers[FACTS]["facts"]["cp-1"]
        facts["etcd"] = {}
        facts["processes"] = [each for each in facts["processes"] if each["name"] not in ("etcd", "kube-apiserver")]
        del facts["static_pods"]["etcd"]

    first, second, *_ = cluster("self-managed", change).troubles()
    gone = "its manifest is gone from /etc/kubernetes/manifests on cp-1"
    assert first == f"self-managed-lab: etcd: stopped: no process on cp-1; /readyz etcd fails; {gone}"
    assert second.startswith("self-managed-lab: kube-apiserver: stopped: no process on cp-1")


def test_eks_has_no_such_configuration_and_is_not_empty() -> None:
    assert list(cluster("managed").troubles()) == []
