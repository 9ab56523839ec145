"""PodIdentity: what each argument does, and who may take the role."""

import json
from typing import Any

import pulumi

from components.identity.pod_identity import EksIdentity, OidcIdentity, PodIdentity, PodIdentityArgs, projection
from tests.support import golden_files
from tests.support.pulumi_mocks import Graph, run

OIDC = OidcIdentity("https://issuer.example/c", "arn:aws:iam::1:oidc-provider/issuer.example/c")
ARGS: dict[str, Any] = {
    "identity": EksIdentity("c"),
    "namespace": "kube-system",
    "service_account": "driver",
    "policies": {"disks": "{}"},
}


def identity(**changes: Any) -> Graph:
    def program() -> None:
        pulumi.export("role", PodIdentity("p", PodIdentityArgs(**{**ARGS, **changes})).role_arn)

    return run(program)


def trust(graph: Graph) -> Any:
    return json.loads(graph.one("Role").inputs["assumeRolePolicy"])["Statement"][0]


def test_on_eks_an_association_ties_the_role() -> None:
    graph = identity(identity=EksIdentity("d"), namespace="a", service_account="b")
    inputs = graph.one("PodIdentityAssociation").inputs
    assert (inputs["clusterName"], inputs["namespace"], inputs["serviceAccount"]) == ("d", "a", "b")
    assert inputs["roleArn"] == graph.exports["role"]
    assert trust(graph)["Principal"] == {"Service": "pods.eks.amazonaws.com"}


def test_elsewhere_the_token_does() -> None:
    graph = identity(identity=OIDC, namespace="a", service_account="b")
    assert not graph.all("PodIdentityAssociation")
    assert trust(graph)["Principal"] == {"Federated": OIDC.provider_arn}
    assert trust(graph)["Condition"] == {
        "StringEquals": {
            "issuer.example/c:aud": "sts.amazonaws.com",
            "issuer.example/c:sub": "system:serviceaccount:a:b",
        }
    }


def test_policies() -> None:
    made = identity(policies={"one": '{"a": 1}', "two": "{}"}).all("RolePolicy")
    assert {each.inputs["name"]: each.inputs["policy"] for each in made} == {"one": '{"a": 1}', "two": "{}"}


def test_managed_policies() -> None:
    [attached] = identity(managed_policies={"driver": "arn:aws:iam::aws:policy/P"}).all("RolePolicyAttachment")
    assert attached.inputs["policyArn"] == "arn:aws:iam::aws:policy/P"


def test_trust_policies_and_projection_are_the_golden_ones() -> None:
    made = {
        "eks": trust(identity()),
        "oidc": trust(identity(identity=OIDC)),
        "pod": projection("arn:aws:iam::1:role/p"),
    }
    golden_files.check("pod_identity.json", json.dumps(made, indent=1) + "\n")
