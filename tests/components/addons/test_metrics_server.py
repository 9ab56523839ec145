"""MetricsServer: its rights, whom it trusts and who trusts it."""

import base64
from typing import Any

from components.addons.metrics_server import IMAGE, RULES, MetricsServer, MetricsServerArgs
from components.addons.metrics_server_pod import TLS
from lab.toolchain.tool import METRICS_SERVER
from tests.support.pulumi_mocks import Graph, contains_secret, run


def server(**changes: Any) -> Graph:
    return run(lambda: MetricsServer("m", MetricsServerArgs(**changes)) and None)


def container(graph: Graph) -> dict[str, Any]:
    [only] = graph.one("Deployment").inputs["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_image() -> None:
    assert container(server())["image"] == IMAGE
    assert container(server(image="mirror/metrics-server:v1"))["image"] == "mirror/metrics-server:v1"
    assert f":v{METRICS_SERVER}" in IMAGE, "the lab builds the release that AWS runs"


def test_reads_and_does_nothing_else() -> None:
    graph = server()
    rules = graph.one("ClusterRole", "m").inputs["rules"]
    assert {(rule["apiGroups"][0], rule["resources"][0]): " ".join(rule["verbs"]) for rule in rules} == RULES
    assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list", "watch"}
    bindings = {each.urn for kind in ("ClusterRoleBinding", "RoleBinding") for each in graph.all(kind)}
    assert len(bindings) == 3
    assert bindings <= graph.one("Deployment").dependencies, "it starts with its rights"


def test_certificates_are_checked_both_ways() -> None:
    graph = server()
    service = graph.one("APIService").inputs["spec"]
    assert "insecureSkipTLSVerify" not in service
    secret, made = graph.one("Secret"), graph.one("Command")
    assert made.inputs["create"] == "metrics-server.kube-system.svc"
    assert base64.b64decode(service["caBundle"]).decode() == secret.inputs["stringData"]["tls.crt"]
    assert contains_secret(secret.raw["stringData"])
    arguments = container(graph)["args"]
    assert f"--tls-private-key-file={TLS}/tls.key" in arguments
    assert "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" in arguments
    assert not [each for each in arguments if "insecure" in each]


def test_the_group_is_served_when_the_pod_runs() -> None:
    graph = server()
    assert graph.one("Deployment").urn in graph.one("APIService").dependencies
    assert graph.one("APIService").inputs["metadata"]["name"] == "v1beta1.metrics.k8s.io"


def test_its_pod_may_nothing_on_the_node() -> None:
    spec = server().one("Deployment").inputs["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    may = container(server())["securityContext"]
    assert (may["allowPrivilegeEscalation"], may["capabilities"]) == (False, {"drop": ["ALL"]})
    assert not spec.get("hostNetwork")
