"""The conclusions on a whole cluster: nodes, versions, and where replicas run."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.compare_cases import FACTS, NODES, PODS, cluster
from twinplane.compare.evidence import Cell

DEPLOYMENTS = "GET /apis/apps/v1/namespaces/kube-system/deployments"
POLICIES = "GET /apis/networking.k8s.io/v1/networkpolicies"
CNI = "GET /api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3Damazon-vpc-cni"
APP = "GET /apis/apps/v1/namespaces/twinplane/deployments"
APP_PODS = "GET /api/v1/namespaces/twinplane/pods"
KINDS = pytest.mark.parametrize("kind", ["managed", "self-managed"])

Change = Callable[[dict[str, Any]], None]


def node_names(answers: dict[str, Any]) -> list[str]:
    return [each["metadata"]["name"] for each in answers[NODES]["items"]]


@KINDS
def test_a_healthy_cluster_has_no_warning(kind: str) -> None:
    found = cluster(kind)
    assert list(found.warnings()) == []
    aspects = ["nodes", "versions", "certificates", "authorities", "network policies", "control plane logs"]
    assert list(found.upkeep) == [*aspects, "coredns", "sample-app"]
    assert all(cell.evidence for cell in found.upkeep.values())


def policies(kind: str, *changes: Change) -> Cell:
    """Returns the cell of a cluster with one NetworkPolicy, and further changes."""

    def change(answers: dict[str, Any]) -> None:
        answers[POLICIES]["items"] = [{"metadata": {"namespace": "a", "name": "deny"}}]
        for each in changes:
            each(answers)

    return cluster(kind, change).upkeep["network policies"]


def agents(*nodes: str, asked: bool = True) -> Change:
    """kube-network-policies runs on these nodes, and their kernels ask it, or do not."""

    def change(answers: dict[str, Any]) -> None:
        for node in nodes:
            pod = copy.deepcopy(next(each for each in answers[PODS]["items"] if each["spec"].get("nodeName")))
            pod["metadata"]["name"], pod["spec"]["nodeName"] = f"kube-network-policies-{node}", node
            pod["spec"]["containers"][0] |= {"name": "kube-network-policies", "image": "r/kube-network-policies:v1"}
            answers[PODS]["items"].append(pod)
            answers[FACTS]["facts"][node]["network_policies"] = asked

    return change


def test_network_policies_that_nobody_enforces_are_trouble() -> None:
    assert cluster("self-managed").upkeep["network policies"].value == "not enforced; 0 of them"
    found = policies("self-managed")
    assert (found.value, found.state) == ("not enforced; 1 of them: a/deny", "bad")


def test_network_policies_are_enforced_where_the_kernel_asks_the_agent() -> None:
    found = policies("self-managed", agents("cp-1", "w-1", "w-2"))
    assert (found.value, found.state) == ("enforced by kube-network-policies on all nodes; 1 of them", "good")
    assert policies("self-managed", agents("cp-1", "w-1")).value == (
        "enforced by kube-network-policies, but not on w-2; 1 of them: a/deny"
    )
    deaf = policies("self-managed", agents("cp-1", "w-1"), agents("w-2", asked=False))
    assert deaf.value == (
        "enforced by kube-network-policies, but not on w-2 (it runs, and the kernel does not ask it); 1 of them: a/deny"
    )
    nowhere = policies("self-managed", agents("cp-1", "w-1", "w-2", asked=False))
    assert (nowhere.value, nowhere.state) == (
        "not enforced: kube-network-policies works on no node; 1 of them: a/deny",
        "bad",
    )


def test_on_eks_network_policies_are_enforced_where_the_vpc_cni_runs() -> None:
    def without(*names: str) -> Change:
        def change(answers: dict[str, Any]) -> None:
            answers[PODS]["items"] = [each for each in answers[PODS]["items"] if each["metadata"]["name"] not in names]

        return change

    def off(answers: dict[str, Any]) -> None:
        answers[CNI]["items"] = []

    assert policies("managed").value == "enforced by the VPC CNI on all nodes; 1 of them"
    assert policies("managed", without("aws-node-x2")).value == (
        "enforced by the VPC CNI, but not on ip-198-18-0-21.ec2.internal; 1 of them: a/deny"
    )
    assert policies("managed", without("aws-node-x1", "aws-node-x2")).value == (
        "not enforced: the VPC CNI works on no node; 1 of them: a/deny"
    )
    assert policies("managed", off).value == "not enforced; 1 of them: a/deny"
    silent = policies("managed", lambda answers: answers.update({POLICIES: {"error": "403"}}))
    assert silent.value == "enforced by the VPC CNI on all nodes; not shown: 403"


def test_the_volume_of_logs_is_cloudwatch_s_own_count() -> None:
    def logs(change: Change) -> str:
        return cluster("managed", change).upkeep["control plane logs"].value

    def question(answers: dict[str, Any], begins: str) -> str:
        return next(each for each in answers if each.startswith(begins))

    def uncounted(answers: dict[str, Any]) -> None:
        answers[question(answers, "cloudwatch")] = {"error": "AccessDenied: no"}

    def unknown(answers: dict[str, Any]) -> None:
        answers[question(answers, "logs")] = {"error": "AccessDenied: no"}

    def for_ever(answers: dict[str, Any]) -> None:
        for each in answers[question(answers, "logs")]["logGroups"]:
            del each["retentionInDays"]

    assert logs(lambda _: None) == "0.30 GiB in 7 days, as CloudWatch counted; kept 30 days"
    assert logs(for_ever) == "0.30 GiB in 7 days, as CloudWatch counted; kept for ever"
    assert logs(uncounted) == "kept 30 days; how much, is not shown: AccessDenied: no"
    assert logs(unknown) == "not shown: AccessDenied: no"
    yours = cluster("self-managed").upkeep["control plane logs"].value
    assert yours == "none in CloudWatch: what there is stays on the machines"


@KINDS
def test_no_node_at_all_is_trouble(kind: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES]["items"] = []
        answers['ec2 describe_images {"ImageIds": []}'] = {"error": "no image"}

    assert f"{kind}-lab: nodes: none" in cluster(kind, change).troubles()


@KINDS
def test_a_refused_list_of_nodes_is_trouble_once(kind: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[NODES] = {"error": "403 Forbidden"}
        answers['ec2 describe_images {"ImageIds": []}'] = {"error": "no image"}

    assert list(cluster(kind, change).troubles()) == [f"{kind}-lab: nodes: not shown: 403 Forbidden"]


@KINDS
@pytest.mark.parametrize(
    ("replicas", "ready", "value"),
    [
        (0, 0, "scaled to 0: no name is resolved"),
        (2, 0, "0 of 2 ready: "),
        (None, 0, "no such Deployment: no name is resolved"),
    ],
)
def test_no_coredns_is_trouble(kind: str, replicas: int | None, ready: int, value: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        if replicas is None:
            answers[DEPLOYMENTS]["items"] = []
        else:
            answers[DEPLOYMENTS]["items"][0]["spec"]["replicas"] = replicas
            answers[DEPLOYMENTS]["items"][0]["status"] = {"readyReplicas": ready} if ready else {}

    (trouble,) = cluster(kind, change).troubles()
    assert trouble.startswith(f"{kind}-lab: coredns: {value}")


@KINDS
@pytest.mark.parametrize(("replicas", "value"), [(0, "scaled to 0"), (None, "no such Deployment")])
def test_no_sample_app_is_a_warning(kind: str, replicas: int | None, value: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        if replicas is None:
            answers[APP]["items"] = []
        else:
            answers[APP]["items"][0]["spec"]["replicas"] = replicas

    found = cluster(kind, change)
    assert list(found.warnings()) == [f"{kind}-lab: sample-app: {value}"]
    assert list(found.troubles()) == []


def test_eks_auto_mode_runs_coredns_out_of_sight() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[DEPLOYMENTS]["items"] = []
        answers['eks describe_cluster {"name": "tp-eks"}']["cluster"]["computeConfig"] = {"enabled": True}

    found = cluster("managed", change)
    assert list(found.troubles()) == []
    assert "coredns" not in found.upkeep


@KINDS
def test_replicas_that_are_not_ready_are_a_warning(kind: str) -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[APP]["items"][0]["status"] = {}
        answers[DEPLOYMENTS]["items"][0]["status"] = {"readyReplicas": 1}

    found = cluster(kind, change)
    assert list(found.troubles()) == []
    coredns, app = found.warnings()
    assert coredns.startswith(f"{kind}-lab: coredns: 1 of 2 ready: ")
    assert app.startswith(f"{kind}-lab: sample-app: 0 of 3 ready: ")


@KINDS
def test_replicas_on_one_node_are_a_warning_with_the_deployments_name(kind: str) -> None:
    names: list[str] = []

    def change(answers: dict[str, Any]) -> None:
        names.extend(node_names(answers)[-2:])
        for pod in answers[APP_PODS]["items"]:
            pod["spec"]["nodeName"] = names[0]

    found = cluster(kind, change)
    assert list(found.warnings()) == [f"{kind}-lab: sample-app: not spread: 3 on {names[0]}, none on {names[1]}"]
    assert list(found.troubles()) == []


def both_on_the_control_plane(answers: dict[str, Any]) -> None:
    for pod in answers[PODS]["items"]:
        if pod["metadata"]["name"].startswith("coredns-"):
            pod["spec"]["nodeName"] = "cp-1"


def cordoned_worker(answers: dict[str, Any]) -> None:
    for pod in answers[APP_PODS]["items"]:
        pod["spec"]["nodeName"] = "w-1"
    answers[NODES]["items"][2]["spec"]["unschedulable"] = True


def ended_pods(answers: dict[str, Any]) -> None:
    answers[APP_PODS]["items"][0]["metadata"]["deletionTimestamp"] = "2026-11-24T22:00:30Z"
    answers[APP_PODS]["items"][2]["status"]["phase"] = "Failed"


def tolerates_everything(answers: dict[str, Any]) -> None:
    for pod in answers[APP_PODS]["items"]:
        pod["spec"]["nodeName"] = "w-1"
    answers[NODES]["items"][2]["spec"]["unschedulable"] = True
    answers[APP]["items"][0]["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        (tolerates_everything, "sample-app", "not spread: 3 on w-1, none on cp-1"),
        (both_on_the_control_plane, "coredns", "not spread: 2 on cp-1, none on w-1, w-2"),
        (cordoned_worker, "sample-app", "3 on w-1"),
        (ended_pods, "sample-app", "1 on w-2, none on w-1"),
    ],
)
def test_only_nodes_that_are_open_to_the_pods_count(change: Change, name: str, value: str) -> None:
    assert cluster("self-managed", change).upkeep[name].value == value


@KINDS
def test_a_kubelet_of_another_version_is_a_warning_with_its_nodes(kind: str) -> None:
    names: list[str] = []

    def change(answers: dict[str, Any]) -> None:
        names.extend(node_names(answers)[-2:])
        for node in answers[NODES]["items"][-2:]:
            node["status"]["nodeInfo"]["kubeletVersion"] = "v1.35.6"

    found = cluster(kind, change)
    wanted = {"managed": "1.36", "self-managed": "1.36.3"}[kind]
    line = f"{kind}-lab: versions: {wanted} wanted; kubelet v1.35.6 on {', '.join(names)}"
    assert list(found.warnings()) == [line]
    assert list(found.troubles()) == []


def test_a_patch_release_counts_where_the_stack_names_one() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers["GET /version"]["gitVersion"] = "v1.36.2"
        for process in answers[FACTS]["facts"]["cp-1"]["processes"]:
            if process["name"] == "kube-scheduler":
                process["version"] = "1.36.2"
        for pod in answers[PODS]["items"]:
            if pod["metadata"]["name"].startswith("kube-proxy"):
                pod["spec"]["containers"][0]["image"] = "registry.k8s.io/kube-proxy:v1.36.2"

    (line,) = cluster("self-managed", change).warnings()
    other = "API server v1.36.2; kube-proxy v1.36.2 on w-1; kube-scheduler v1.36.2 on cp-1"
    assert line == f"self-managed-lab: versions: 1.36.3 wanted; {other}"


@KINDS
def test_a_kubelet_newer_than_the_api_server_is_trouble(kind: str) -> None:
    name: list[str] = []

    def change(answers: dict[str, Any]) -> None:
        name.append(node_names(answers)[-1])
        answers[NODES]["items"][-1]["status"]["nodeInfo"]["kubeletVersion"] = "v1.37.0"

    (trouble,) = cluster(kind, change).troubles()
    assert f"kubelet v1.37.0 on {name[0]}, newer than the API server's v1.36.3: Kubernetes forbids it" in trouble


def test_a_version_of_a_vendor_is_the_version() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers["GET /version"]["gitVersion"] = "v1.36.1-eks-0123abc"
        answers[NODES]["items"][0]["status"]["nodeInfo"]["kubeletVersion"] = "v1.36.9-eks-4567def"

    assert cluster("managed", change).upkeep["versions"].value == "1.36, as wanted"
