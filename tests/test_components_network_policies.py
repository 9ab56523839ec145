"""NetworkPolicies: what it may in the cluster and on the machine, and where it runs."""

from typing import Any

from components.network_policies import IMAGE, RULES, NetworkPolicies, NetworkPoliciesArgs
from lab.toolchain.tool import NETWORK_POLICIES
from tests.pulumi_mocks import Graph, run


def policies(**changes: Any) -> Graph:
    return run(lambda: NetworkPolicies("n", NetworkPoliciesArgs(**changes)) and None)


def pod(graph: Graph) -> dict[str, Any]:
    return dict(graph.one("DaemonSet").inputs["spec"]["template"]["spec"])


def container(graph: Graph) -> dict[str, Any]:
    [only] = pod(graph)["containers"]
    return dict(only)


def test_image() -> None:
    assert container(policies())["image"] == IMAGE
    assert container(policies(image="mirror/kube-network-policies:v1"))["image"] == "mirror/kube-network-policies:v1"
    assert f":v{NETWORK_POLICIES}" in IMAGE, "the lab builds the release that AWS runs"


def test_lists_and_watches_and_does_nothing_else() -> None:
    graph = policies()
    rules = graph.one("ClusterRole").inputs["rules"]
    assert {(rule["apiGroups"][0], rule["resources"][0]): " ".join(rule["verbs"]) for rule in rules} == RULES
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}
    [subject] = graph.one("ClusterRoleBinding").inputs["subjects"]
    assert (subject["kind"], subject["name"], subject["namespace"]) == (
        "ServiceAccount",
        "kube-network-policies",
        "kube-system",
    )
    assert graph.one("ClusterRoleBinding").urn in graph.one("DaemonSet").dependencies, "it starts with its rights"


def test_on_the_machine_it_has_one_right_and_no_folder() -> None:
    spec, may = pod(policies()), container(policies())["securityContext"]
    assert may["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert (may["allowPrivilegeEscalation"], may["readOnlyRootFilesystem"]) == (False, True)
    assert "privileged" not in may
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "volumes" not in spec
    assert "--disable-nri" in container(policies())["args"], "it would want containerd's socket"


def test_runs_on_every_node_by_its_name_and_tells_nobody_outside() -> None:
    spec, only = pod(policies()), container(policies())
    assert spec["hostNetwork"] is True, "the packets to judge are the machine's"
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["priorityClassName"] == "system-node-critical"
    assert only["resources"]["requests"].keys() == {"cpu", "memory"}
    [name] = only["env"]
    assert name["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert f"--hostname-override=$({name['name']})" in only["args"]
    assert "--metrics-bind-address=127.0.0.1:9080" in only["args"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert (only[probe]["httpGet"]["host"], only[probe]["httpGet"]["port"]) == ("127.0.0.1", 9080)
