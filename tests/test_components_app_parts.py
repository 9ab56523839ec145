"""The parts that a SampleApp has on request: Ingress, load balancer, storage outside the nodes."""

import json
from typing import Any

import pytest

from components.sample_app.balancer import SampleAppBalancer, SampleAppBalancerArgs
from components.sample_app.ingress import SampleAppIngress, SampleAppIngressArgs, directions
from components.sample_app.sample_app import Balancer, Hosts, SampleApp, SampleAppArgs
from components.sample_app.storage import SampleAppStorage, SampleAppStorageArgs
from tests.pulumi_mocks import Graph, run

HOSTS = ["one.example.test", "two.example.test"]


def app(**changes: Any) -> Graph:
    return run(lambda: SampleApp("app", SampleAppArgs(**{"image": "sample-app:v1.0.0", **changes})) and None)


def test_a_volume_of_another_class_and_size() -> None:
    args = SampleAppStorageArgs("sample-app:v1.0.0", "n", "other", size="5Gi")
    [claim] = (
        run(lambda: SampleAppStorage("a", args) and None).one("StatefulSet").inputs["spec"]["volumeClaimTemplates"]
    )
    assert claim["spec"]["storageClassName"] == "other"
    assert claim["spec"]["resources"] == {"requests": {"storage": "5Gi"}}


def test_no_part_unasked() -> None:
    assert {each.type.rsplit(":")[-1] for each in app().resources} == {
        "SampleApp",
        "Namespace",
        "Deployment",
        "Service",
        "PodDisruptionBudget",
    }


def test_two_of_three_storages_are_there_always() -> None:
    spec = app().one("Deployment").inputs["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert {"name": "VOLUMES", "value": "/tmp/container,/storage/node"} in container["env"]
    assert container["volumeMounts"] == [{"name": "node", "mountPath": "/storage/node"}]
    assert spec["volumes"] == [{"name": "node", "emptyDir": {"sizeLimit": "16Mi"}}]


def test_inside_the_cluster() -> None:
    spec = app().one("Service", "app-internal").inputs["spec"]
    assert spec["type"] == "ClusterIP"
    assert [(port["port"], port["targetPort"]) for port in spec["ports"]] == [(80, 8080), (9000, 9000)]


def test_load_balancer() -> None:
    graph = app(balancer=Balancer(["192.0.2.0/24", "198.51.100.1/32"]))
    public = graph.one("Service", "app-public").inputs
    assert public["spec"]["type"] == "LoadBalancer"
    assert public["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24", "198.51.100.1/32"]
    assert public["spec"]["selector"] == graph.one("Service", "app").inputs["spec"]["selector"]
    assert public["metadata"]["name"] == "sample-app-public"
    assert graph.one("AppBalancer").outputs == {"address": "app-public.elb.test"}
    assert {port["name"]: (port["port"], port["targetPort"]) for port in public["spec"]["ports"]} == {
        "http": (80, 8080),
        "tcp": (9000, 9000),
    }


def test_a_load_balancer_by_itself_leads_to_the_pods_and_ports_it_is_told() -> None:
    told = {"metadata": {"name": "b"}, "selector": {"app": "other"}, "ports": [{"port": 81}]}
    args = SampleAppBalancerArgs(**told, cidrs=["192.0.2.0/24"], scheme="internal")
    inputs = run(lambda: SampleAppBalancer("b", args) and None).one("Service").inputs
    assert inputs["metadata"]["name"] == "b"
    assert (inputs["spec"]["selector"], inputs["spec"]["ports"]) == (told["selector"], told["ports"])


@pytest.mark.parametrize(("scheme", "internal"), [("internet-facing", "false"), ("internal", "true")])
def test_balancer_scheme(scheme: str, internal: str) -> None:
    told = app(balancer=Balancer(["192.0.2.0/24"], scheme)).one("Service", "app-public").inputs
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    assert {key.removeprefix(prefix): value for key, value in told["metadata"]["annotations"].items()} == {
        "type": "nlb",
        "internal": internal,
        "scheme": scheme,
        "cross-zone-load-balancing-enabled": "true",
        "healthcheck-interval": "10",
        "additional-resource-tags": "Project=twinplane,Stack=test,ManagedBy=pulumi",
    }


def test_auto_mode_takes_attributes_and_no_tags() -> None:
    def told(**changes: Any) -> dict[str, str]:
        public = app(balancer=Balancer(["192.0.2.0/24"], **changes)).one("Service", "app-public").inputs
        prefix = "service.beta.kubernetes.io/aws-load-balancer-"
        return {key.removeprefix(prefix): value for key, value in public["metadata"]["annotations"].items()}

    auto = told(auto_mode=True)
    assert set(told()) - set(auto) == {"additional-resource-tags", "cross-zone-load-balancing-enabled"}
    assert set(auto) - set(told()) == {"attributes"}
    assert auto["attributes"] == "load_balancing.cross_zone.enabled=true"


def test_what_a_controller_reads_once_makes_another_service() -> None:
    graph = app(balancer=Balancer(["192.0.2.0/24"], "internal"), hosts=Hosts(HOSTS, scheme="internal"))
    read_once = {"type", "internal", "scheme", "subnets"}
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    public, ingress = graph.one("Service", "app-public"), graph.one("Ingress")
    assert set(public.replace_on_changes) == {f'metadata.annotations["{prefix}{each}"]' for each in read_once}
    assert ingress.replace_on_changes == ['metadata.annotations["alb.ingress.kubernetes.io/scheme"]']
    assert ingress.inputs["metadata"]["annotations"]["alb.ingress.kubernetes.io/scheme"] == "internal"


def test_hosts_lead_to_the_node_port_service() -> None:
    graph = app(hosts=Hosts(HOSTS, "other"))
    ingress = graph.one("Ingress").inputs
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == HOSTS
    [path] = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "sample-app", "port": {"name": "http"}}
    assert graph.one("Service", "app").inputs["spec"]["type"] == "NodePort"
    assert ingress["spec"]["ingressClassName"] == "other"
    assert graph.one("AppIngress").outputs == {"address": "app.elb.test"}


def test_an_ingress_by_itself_leads_to_the_service_and_port_it_is_told() -> None:
    args = SampleAppIngressArgs({"name": "i"}, service="other", port="admin", hosts=HOSTS[:1], ingress_class="alb")
    [rule] = run(lambda: SampleAppIngress("i", args) and None).one("Ingress").inputs["spec"]["rules"]
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "other", "port": {"name": "admin"}}


@pytest.mark.parametrize(
    ("arn", "ports", "more"),
    [
        (None, [{"HTTP": 80}], {}),
        ("arn:x", [{"HTTP": 80}, {"HTTPS": 443}], {"certificate-arn": "arn:x", "ssl-redirect": "443"}),
    ],
)
def test_certificate(arn: str | None, ports: list[dict[str, int]], more: dict[str, str]) -> None:
    told = app(hosts=Hosts(HOSTS, certificate_arn=arn)).one("Ingress").inputs["metadata"]["annotations"]
    assert told == directions("internet-facing", arn)
    short = {key.removeprefix("alb.ingress.kubernetes.io/"): value for key, value in told.items()}
    assert json.loads(short.pop("listen-ports")) == ports
    assert short == {"scheme": "internet-facing", "target-type": "instance", "healthcheck-path": "/healthz", **more}


def test_storage_outside_the_nodes() -> None:
    graph = app(storage_class="ebs", image="sample-app:v1.1.0", namespace="elsewhere")
    kept = graph.one("StatefulSet").inputs
    [claim] = kept["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "ebs"
    assert claim["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    pod = kept["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == "sample-app:v1.1.0"
    assert kept["metadata"]["namespace"] == "elsewhere"
    assert {"name": claim["metadata"]["name"], "mountPath": "/storage/outside"} in container["volumeMounts"]
    assert {"name": "VOLUMES", "value": "/tmp/container,/storage/node,/storage/outside"} in container["env"]
    assert pod["securityContext"]["fsGroup"] == 65532
    # The Service of the others does not lead here.
    selector = graph.one("Service", "app").inputs["spec"]["selector"]
    assert not selector.items() <= kept["spec"]["template"]["metadata"]["labels"].items()
