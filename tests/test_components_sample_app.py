"""SampleApp: what each argument does, and what the pods may do."""

from typing import Any

import pulumi
import pytest

from components.sample_app.sample_app import Balancer, Hosts, SampleApp, SampleAppArgs
from tests.pulumi_mocks import Graph, run


def app(name: str = "app", **changes: Any) -> Graph:
    def program() -> None:
        pulumi.export("workload", SampleApp(name, SampleAppArgs(**{"image": "sample-app:v1.0.0", **changes})).exported)

    return run(program)


def pod(graph: Graph) -> dict[str, Any]:
    spec: dict[str, Any] = graph.one("Deployment").inputs["spec"]["template"]["spec"]
    return spec


def test_image() -> None:
    assert pod(app(image="sample-app:v1.1.0"))["containers"][0]["image"] == "sample-app:v1.1.0"


def test_namespace() -> None:
    graph = app(namespace="elsewhere")
    assert graph.one("Namespace").inputs["metadata"]["name"] == "elsewhere"
    spaces = {
        each.inputs["metadata"]["namespace"]
        for kind in ("Deployment", "Service", "PodDisruptionBudget")
        for each in graph.all(kind)
    }
    assert spaces == {"elsewhere"}
    assert app().one("Namespace").inputs["metadata"]["name"] == "twinplane"


@pytest.mark.parametrize("replicas", [3, 5])
def test_replicas_all_but_one_of_which_stay(replicas: int) -> None:
    graph = app(replicas=replicas)
    assert graph.one("Deployment").inputs["spec"]["replicas"] == replicas
    assert graph.one("PodDisruptionBudget").inputs["spec"]["minAvailable"] == replicas - 1


def test_node_port() -> None:
    [port] = app(node_port=31000).one("Service", "app").inputs["spec"]["ports"]
    assert port == {"name": "http", "port": 80, "targetPort": "http", "nodePort": 31000}
    assert app().one("Service", "app").inputs["spec"]["type"] == "NodePort"


def test_exports() -> None:
    assert app().exports["workload"] == {
        "namespace": "twinplane",
        "deployment": "sample-app",
        "service": "sample-app",
        "nodePort": 30080,
    }
    found = app(balancer=Balancer(["192.0.2.0/24"]), hosts=Hosts(["a.test"])).exports["workload"]
    assert found["balancerAddress"] == "app-public.elb.test"
    assert found["ingressAddress"] == "app.elb.test"


def test_service_and_budget_select_the_pods() -> None:
    graph = app()
    template = graph.one("Deployment").inputs["spec"]["template"]["metadata"]["labels"]
    selectors = [
        graph.one("Deployment").inputs["spec"]["selector"]["matchLabels"],
        graph.one("Service", "app").inputs["spec"]["selector"],
        graph.one("PodDisruptionBudget").inputs["spec"]["selector"]["matchLabels"],
        pod(graph)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= template.items() for selector in selectors)


def test_pods_are_spread_probed_and_sized() -> None:
    spec = pod(app())
    [container] = spec["containers"]
    assert spec["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert {variable["name"] for variable in container["env"]} == {"POD_NAME", "NODE_NAME", "VOLUMES"}


def test_nodes_that_are_away_do_not_count_and_lose_their_pods_soon() -> None:
    spec = pod(app())
    assert spec["topologySpreadConstraints"][0]["nodeTaintsPolicy"] == "Honor"
    assert {each["key"]: (each["effect"], each["tolerationSeconds"]) for each in spec["tolerations"]} == {
        "node.kubernetes.io/not-ready": ("NoExecute", 30),
        "node.kubernetes.io/unreachable": ("NoExecute", 30),
    }


def test_pods_may_do_nothing_but_serve() -> None:
    graph = app()
    spec = pod(graph)
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert graph.one("Namespace").inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
