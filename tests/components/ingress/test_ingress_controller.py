"""IngressController, the certificate of its webhook, and what each argument does."""

import json
import re
from typing import Any

import pulumi
import pytest

from components.base.chart_source import ChartSource
from components.identity.pod_identity import EksIdentity, OidcIdentity
from components.ingress.ingress_controller import IngressController, IngressControllerArgs, policy
from tests.support import golden_files
from tests.support.pulumi_mocks import Graph, contains_secret, run

OIDC = OidcIdentity("https://issuer.example/c", "arn:aws:iam::1:oidc-provider/issuer.example/c")
PLAIN: dict[str, Any] = {
    "cluster": "demo",
    "region": "us-east-1",
    "vpc_id": "vpc-1",
    "identity": EksIdentity("demo"),
    "cidrs": ["192.0.2.0/24"],
}


def controller(**changes: Any) -> Graph:
    def program() -> None:
        made = IngressController("c", IngressControllerArgs(**{**PLAIN, **changes}))
        pulumi.export("class", made.ingress_class)

    return run(program)


def values(graph: Graph) -> dict[str, Any]:
    found: dict[str, Any] = graph.one("Chart").inputs["values"]
    return found


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ({"cluster": "other"}, "clusterName", "other"),
        ({"region": "eu-west-1"}, "region", "eu-west-1"),
        ({"vpc_id": "vpc-2"}, "vpcId", "vpc-2"),
        ({"replicas": 1}, "replicaCount", 1),
        ({"image": "host:5000/a/b:v9"}, "image", {"repository": "host:5000/a/b", "tag": "v9"}),
        ({"values": {"hostNetwork": True}}, "hostNetwork", True),
        ({"values": {"replicaCount": 3}}, "replicaCount", 3),
    ],
)
def test_arguments_become_values(change: dict[str, Any], key: str, value: Any) -> None:
    assert values(controller(**change))[key] == value
    assert values(controller()).get(key) != value


def test_the_chart_leaves_the_class_to_the_component() -> None:
    """Both would be named `alb`, and the second to be made would be refused."""
    given = values(controller())
    assert not given["createIngressClassResource"]
    assert not given["ingressClassParams"]["create"]


def test_load_balancers_say_whose_they_are() -> None:
    assert values(controller())["defaultTags"] == {"Project": "twinplane", "Stack": "test", "ManagedBy": "pulumi"}


def test_on_eks_its_role_is_the_service_account_s_before_its_pods_start() -> None:
    graph = controller(identity=EksIdentity("other"))
    association = graph.one("PodIdentityAssociation")
    told = association.inputs
    assert (told["clusterName"], told["namespace"], told["serviceAccount"]) == (
        "other",
        "kube-system",
        values(graph)["serviceAccount"]["name"],
    )
    assert association.urn in graph.one("Chart").dependencies
    # With another association other pods start: those that run would have no credentials any more.
    assert values(graph)["podAnnotations"] == {"twinplane.dev/pod-identity": "a-c"}
    assert json.loads(graph.one("RolePolicy").inputs["policy"]) == json.loads(policy("aws-test"))
    assert (values(graph)["env"], values(graph)["extraVolumes"]) == ({}, [])


def test_elsewhere_its_pods_show_their_token() -> None:
    graph = controller(identity=OIDC)
    assert not graph.all("PodIdentityAssociation")
    assert "kube-system:aws-load-balancer-controller" in graph.one("aws:iam/role:Role").inputs["assumeRolePolicy"]
    shown = values(graph)
    assert shown["env"]["AWS_ROLE_ARN"] == "arn:test:iam::1:role/c"
    [volume], [mount] = shown["extraVolumes"], shown["extraVolumeMounts"]
    assert volume["name"] == mount["name"]
    assert shown["env"]["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    more = values(controller(identity=OIDC, values={"env": {"A": "b"}}))["env"]
    assert more == {**shown["env"], "A": "b"}


def test_the_official_chart_in_a_pinned_version_or_another() -> None:
    chart = controller().one("Chart").inputs
    assert chart["chart"] == "aws-load-balancer-controller"
    assert chart["repositoryOpts"] == {"repo": "https://aws.github.io/eks-charts"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])
    assert chart["namespace"] == "kube-system"
    local = controller(chart=ChartSource("./charts/other")).one("Chart").inputs
    assert local["chart"] == "./charts/other"
    assert not {"repositoryOpts", "version"} & set(local)


def test_scheme() -> None:
    assert controller().one("IngressClassParams").inputs["spec"]["scheme"] == "internet-facing"
    assert controller(scheme="internal").one("IngressClassParams").inputs["spec"]["scheme"] == "internal"


def test_load_balancers_of_the_class_are_open_to_named_blocks() -> None:
    blocks = ["192.0.2.0/24", "198.51.100.1/32"]
    assert controller(cidrs=blocks).one("IngressClassParams").inputs["spec"]["inboundCIDRs"] == blocks
    with pytest.raises(ValueError, match="cidrs: name at least one block"):
        controller(cidrs=[])


def test_the_webhook_has_a_certificate_of_ours_for_its_service() -> None:
    graph = controller()
    tls = graph.one("Chart").raw["values"]["webhookTLS"]
    assert contains_secret(tls["key"])
    assert graph.one("Command").inputs["create"].split()[0] == "aws-load-balancer-webhook-service.kube-system.svc"
    assert values(graph)["webhookTLS"]["caCert"] == values(graph)["webhookTLS"]["cert"]


def test_what_is_made_after_the_webhook_answers() -> None:
    graph = controller()
    chart, parameters = graph.one("Chart"), graph.one("IngressClassParams")
    kind = graph.one("IngressClass")
    assert chart.urn in parameters.dependencies
    assert {chart.urn, parameters.urn} <= kind.dependencies
    assert kind.inputs["spec"]["controller"] == "ingress.k8s.aws/alb"
    assert kind.inputs["spec"]["parameters"]["name"] == parameters.inputs["metadata"]["name"]
    assert graph.exports["class"] == "alb"


def test_policy() -> None:
    golden_files.check("ingress_controller_policy.json", json.dumps(json.loads(policy()), indent=2) + "\n")
    assert "arn:aws:" not in policy("aws-cn")
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, characters of a managed policy
    assert len(re.sub(r"\s", "", policy())) <= 6144


def test_policy_changes_only_what_the_controller_made() -> None:
    for statement in json.loads(policy())["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        deleting = [
            action for action in actions if re.search(r":Delete(LoadBalancer|TargetGroup|SecurityGroup)$", action)
        ]
        if deleting:
            assert statement["Condition"] == {"Null": {"aws:ResourceTag/elbv2.k8s.aws/cluster": "false"}}
