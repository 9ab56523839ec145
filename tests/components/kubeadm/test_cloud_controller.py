"""CloudController: what each argument does; its IAM policy."""

import json
from ipaddress import IPv4Network
from typing import Any

import pytest

from components.kubeadm.cloud_controller import RULES, CloudController, CloudControllerArgs
from components.kubeadm.cloud_controller_policy import BALANCE, MAKE, cloud_controller_policy, cluster_tag
from lab.toolchain.tool import CLOUD_CONTROLLER, KUBERNETES
from tests.support import golden_files
from tests.support.pulumi_mocks import Graph, run

ARGS: dict[str, Any] = {"cluster": "c", "region": "us-east-1", "image": "ccm:v1"}


def controller(**changes: Any) -> Graph:
    return run(lambda: CloudController("cloud", CloudControllerArgs(**{**ARGS, **changes})))


def pod(graph: Graph) -> dict[str, Any]:
    spec: dict[str, Any] = graph.one("DaemonSet").inputs["spec"]["template"]["spec"]
    return spec


def container(graph: Graph) -> dict[str, Any]:
    [only] = pod(graph)["containers"]
    return dict(only)


def test_image() -> None:
    assert container(controller(image="ccm:v2"))["image"] == "ccm:v2"


def test_cluster_and_region_in_its_file() -> None:
    assert controller(cluster="d", region="eu-west-1").one("ConfigMap").inputs["data"] == {
        "cloud.conf": "[Global]\nRegion = eu-west-1\nKubernetesClusterID = d\n"
    }


def test_routes_where_the_pods_network_is_the_vpc_s() -> None:
    assert "--configure-cloud-routes=false" in container(controller())["args"]
    routed = container(controller(routed_pod_cidr=IPv4Network("10.244.0.0/16")))["args"]
    assert {"--configure-cloud-routes=true", "--cluster-cidr=10.244.0.0/16"} <= set(routed)


def test_environment() -> None:
    made = container(controller(environment={"AWS_ENDPOINT_URL": "http://198.19.255.254:4515", "A": "b"}))
    assert made["env"] == [
        {"name": "A", "value": "b"},
        {"name": "AWS_ENDPOINT_URL", "value": "http://198.19.255.254:4515"},
    ]
    assert container(controller()).get("env", []) == []


def test_runs_on_control_planes_in_their_network_before_nodes_are_initialized() -> None:
    spec = pod(controller())
    assert spec["hostNetwork"] is True, "the metadata service answers the machine, no pod"
    assert spec["nodeSelector"] == {"node-role.kubernetes.io/control-plane": ""}
    assert {each["key"] for each in spec["tolerations"]} == {
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node-role.kubernetes.io/control-plane",
    }
    assert container(controller())["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_may_what_its_controllers_do_and_no_more() -> None:
    graph = controller()
    rules = graph.one("ClusterRole").inputs["rules"]
    assert {(rule["apiGroups"][0], rule["resources"][0]): " ".join(rule["verbs"]) for rule in rules} == RULES
    assert not any("secrets" in rule["resources"] or "*" in rule["verbs"] for rule in rules)
    [subject] = graph.one("ClusterRoleBinding").inputs["subjects"]
    assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "kube-system")
    bindings = {graph.one(kind).urn for kind in ("ClusterRoleBinding", "RoleBinding")}
    assert bindings <= graph.one("DaemonSet").dependencies, "it starts with its rights"


def test_its_policy() -> None:
    def policy(cluster: str, *, routed: bool) -> Any:
        return json.loads(
            cloud_controller_policy(cluster, partition="aws", region="us-east-1", account="1", routed=routed)
        )

    made = {"overlay": policy("c", routed=False), "routed": policy("c", routed=True)}
    golden_files.check("cloud_controller_policy.json", json.dumps(made, indent=1) + "\n")
    changes = [each for each in policy("d", routed=True)["Statement"] if "ec2:CreateRoute" in each["Action"]]
    assert changes[0]["Condition"] == {"StringEquals": {"aws:ResourceTag/kubernetes.io/cluster/d": "owned"}}
    assert cluster_tag("d") == {"kubernetes.io/cluster/d": "owned"}


@pytest.mark.parametrize("action", BALANCE)
def test_it_changes_only_load_balancers_of_its_cluster(action: str) -> None:
    document = cloud_controller_policy("c", partition="aws", region="us-east-1", account="1", routed=False)
    tag = "kubernetes.io/cluster/c"
    for statement in json.loads(document)["Statement"]:
        if f"elasticloadbalancing:{action}" not in statement["Action"]:
            continue
        condition = statement["Condition"]["StringEquals"]
        made = {"elasticloadbalancing:CreateAction": list(MAKE)}
        assert condition in ({f"aws:ResourceTag/{tag}": "owned"}, made), "its own, or what it makes now"
        assert condition != made or action == "AddTags"


def test_it_makes_load_balancers_with_its_cluster_s_tag_alone() -> None:
    document = cloud_controller_policy("c", partition="aws", region="us-east-1", account="1", routed=False)
    for action in ("CreateLoadBalancer", "CreateTargetGroup"):
        [statement] = [
            each for each in json.loads(document)["Statement"] if f"elasticloadbalancing:{action}" in each["Action"]
        ]
        assert statement["Condition"] == {"StringEquals": {"aws:RequestTag/kubernetes.io/cluster/c": "owned"}}


def test_the_lab_builds_a_release_of_the_cluster_s_minor() -> None:
    from components.kubeadm.cloud_controller import RELEASES

    assert RELEASES[".".join(KUBERNETES.split(".")[:2])] == f"v{CLOUD_CONTROLLER}"
