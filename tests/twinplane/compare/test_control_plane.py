"""The conclusions on control-plane components: from evidence, never from the kind of the stack."""

import json
from typing import Any

import pytest

from tests.support.compare_cases import FACTS, HEALTH, LEASES, NODES, PODS, STATUSES, cluster, without_scheduler
from twinplane.compare.control_plane import COMPONENTS


def running(kind: str, component: str, change: Any = lambda _: None) -> str:
    return cluster(kind, change).components[component]["running"].value


@pytest.mark.parametrize("component", COMPONENTS[:4])
@pytest.mark.parametrize("kind", ["managed", "self-managed"])
def test_a_healthy_component_runs(kind: str, component: str) -> None:
    assert running(kind, component).startswith("running: ")
    assert list(cluster(kind).troubles()) == []


def test_the_same_component_is_yours_on_one_side_only() -> None:
    yours = cluster("self-managed").components["kube-scheduler"]
    assert yours["visible in the API"].value == "static pod, lease, componentstatus"
    assert yours["machine"].value == "yours: cp-1 (i-0a, t3.medium)"
    assert yours["SSH"].value == "yes: admin@198.18.64.10"
    assert yours["version"].value == "v1.36.3"
    assert yours["restarted by"].value == "kubelet on cp-1 (static pod)"
    assert yours["built by"].value == "you, from registry.k8s.io/kube-scheduler:v1.36.3"
    assert yours["upgrade carried out by"].value == "you, over SSH"
    assert yours["paid by"].value == "you: EC2 t3.medium"

    theirs = cluster("managed").components["kube-scheduler"]
    assert theirs["visible in the API"].value == "lease, componentstatus"
    assert theirs["machine"].value == "none of your 2 EC2 instances"
    assert theirs["SSH"].value == "no: API endpoint 198.19.240.2, Connection refused"
    assert theirs["version"].value == "not shown (EKS 1.36, eks.7)"
    assert theirs["restarted by"].value == "AWS (EKS)"
    assert theirs["built by"].value == "AWS: EKS platform eks.7"
    assert theirs["upgrade decided by"].value == "you choose the minor version; AWS applies patches (support STANDARD)"
    assert theirs["paid by"].value == "you: EKS, per cluster and hour"


def test_the_running_file_tells_its_version_better_than_the_tag() -> None:
    assert cluster("self-managed").components["etcd"]["version"].value == "v3.6.13"


def test_no_cloud_controller_is_found_where_none_is() -> None:
    for kind in ("managed", "self-managed"):
        assert running(kind, "cloud-controller-manager") == "not found"


def test_a_stopped_scheduler_is_seen() -> None:
    found = cluster("self-managed", without_scheduler)
    cell = found.components["kube-scheduler"]["running"]
    assert cell.state == "bad"
    gone = "its manifest is gone from /etc/kubernetes/manifests on cp-1"
    assert cell.value == f"stopped: lease given up; no process on cp-1; {gone}"
    assert list(found.troubles()) == [f"self-managed-lab: kube-scheduler: {cell.value}"]
    cells = found.components["kube-scheduler"]
    assert cells["machine"].value == "yours, not running there: cp-1 (i-0a, t3.medium)"
    assert cells["SSH"].value == "yes: admin@198.18.64.10"
    assert cells["restarted by"].value == "nobody: not found"


def test_one_lost_manifest_of_several_control_planes_is_named() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"][2]["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = ""
        facts = answers[FACTS]["facts"]
        facts["w-2"]["static_pods"] = dict.fromkeys(("etcd", "kube-apiserver", "kube-controller-manager"), "")

    found = cluster("self-managed", change)
    (trouble,) = [line for line in found.troubles() if "manifest" in line]
    gone = "unhealthy: its manifest is gone from /etc/kubernetes/manifests on w-2"
    assert trouble == f"self-managed-lab: kube-scheduler: {gone}"


def test_a_killed_scheduler_is_seen_before_its_pod_notices() -> None:
    def change(answers: dict[str, Any]) -> None:
        facts = answers[FACTS]["facts"]["cp-1"]
        facts["processes"] = [each for each in facts["processes"] if each["name"] != "kube-scheduler"]

    assert running("self-managed", "kube-scheduler", change) == "stopped: no process on cp-1"


def test_a_frozen_scheduler_is_seen_by_its_state_and_its_lease() -> None:
    def change(answers: dict[str, Any]) -> None:
        next(each for each in answers[FACTS]["facts"]["cp-1"]["processes"] if each["name"] == "kube-scheduler")[
            "state"
        ] = "T"
        for lease in answers[LEASES]["items"]:
            if lease["metadata"]["name"] == "kube-scheduler":
                lease["spec"]["renewTime"] = "2026-11-24T21:59:00.000000Z"

    value = running("self-managed", "kube-scheduler", change)
    assert value == "stopped: lease not renewed for 60 s; process 503 on cp-1 is in state T"


def test_a_stopped_scheduler_is_seen_from_outside_too() -> None:
    def change(answers: dict[str, Any]) -> None:
        for lease in answers[LEASES]["items"]:
            lease["spec"]["renewTime"] = "2026-11-24T21:58:00.000000Z"
        answers[STATUSES]["items"][1]["conditions"][0]["status"] = "Unknown"

    value = running("managed", "kube-scheduler", change)
    assert value == "stopped: lease not renewed for 120 s; componentstatus unhealthy"
    assert running("managed", "kube-apiserver", change).startswith("running")


def test_a_pod_that_is_not_ready_is_seen() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[PODS]["items"][0]["status"]["containerStatuses"][0]["ready"] = False
        answers[HEALTH] = "[+]ping ok\n[-]etcd failed: reason withheld\n"

    assert running("self-managed", "etcd", change) == "unhealthy: pod etcd-cp-1 not ready; /readyz etcd fails"


def test_an_api_server_that_does_not_answer_is_seen() -> None:
    def change(answers: dict[str, Any]) -> None:
        for question in answers:
            if question.startswith("GET "):
                answers[question] = {"error": "Connection refused"}
        facts = answers[FACTS]["facts"]["cp-1"]
        facts["processes"] = [each for each in facts["processes"] if each["name"] != "kube-apiserver"]
        answers['ec2 describe_images {"ImageIds": []}'] = {"error": "no image"}

    found = cluster("self-managed", change)
    assert found.components["kube-apiserver"]["running"].value == "stopped: no process on cp-1; /readyz ping fails"
    assert found.components["kube-apiserver"]["version"].value == "Connection refused"
    assert found.components["etcd"]["restarted by"].value == "kubelet, from a static pod manifest on cp-1"
    assert found.nodes["w-1"]["status"].value == "not shown: Connection refused"
    assert "self-managed-lab: nodes: not shown: Connection refused" in found.troubles()


def test_nothing_follows_from_the_kind_of_the_stack() -> None:
    """A cluster that EKS does not know, with no machine to log in to, is nobody's: not AWS'."""

    def change(answers: dict[str, Any]) -> None:
        answers['eks describe_cluster {"name": "tp-eks"}'] = {"error": "ResourceNotFoundException: none"}

    found = cluster("managed", change).components["kube-scheduler"]
    assert found["restarted by"].value == "nobody: not found"
    assert found["paid by"].value == "not found"


def test_a_control_plane_on_a_machine_of_another_account_is_said_to_be_so() -> None:
    def change(answers: dict[str, Any]) -> None:
        instances = next(key for key in answers if key.startswith("ec2 describe_instances"))
        answers[instances]["Reservations"][0]["Instances"].pop(0)

    value = cluster("self-managed", change).components["etcd"]["machine"].value
    assert value == "yours: cp-1; not an EC2 instance of this account: cp-1"


def test_a_closed_port_is_no_login() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS] = {"error": "Permission denied (publickey)"}
        answers["TCP connect 198.18.64.10:22"] = {"error": "timed out"}

    cells = cluster("self-managed", change).components["etcd"]
    assert cells["SSH"].value == "no: 198.18.64.10 timed out"
    assert cells["upgrade carried out by"].value == "you"


@pytest.mark.parametrize("kind", ["managed", "self-managed"])
def test_every_cell_carries_what_was_asked_answered_and_when(kind: str) -> None:
    exported = json.loads(json.dumps(cluster(kind).export(), default=str))
    for rows in (exported["components"], exported["nodes"]):
        for cells in rows.values():
            for cell in cells.values():
                assert cell["value"]
                assert cell["evidence"]
                for each in cell["evidence"]:
                    assert each["probe"]
                    assert each["question"]
                    assert each["time"] == "2026-11-24T22:00:00+00:00"


def test_evidence_of_a_refused_question_is_its_error() -> None:
    seen = cluster("managed").components["kube-scheduler"]["SSH"].evidence[0]
    assert (seen.probe, seen.answer) == ("ssh_port", {"error": "Connection refused"})


def test_a_node_that_left_is_not_listed() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"].pop()

    assert list(cluster("managed", change).nodes) == ["ip-198-18-0-20.ec2.internal"]


@pytest.mark.parametrize("refusal", ["401 Unauthorized", "403 Forbidden"])
def test_an_api_that_does_not_let_us_in_is_not_taken_for_ill(refusal: str) -> None:
    def expired(answers: dict[str, Any]) -> None:
        for question in answers:
            if question.startswith("GET "):
                answers[question] = {"error": refusal}

    found = cluster("self-managed", expired)
    assert found.components["etcd"]["running"].value.startswith("running: process")
    assert found.components["kube-apiserver"]["running"].value.startswith("running: process")
    assert [line for line in found.troubles() if refusal in line] == [f"self-managed-lab: nodes: not shown: {refusal}"]
