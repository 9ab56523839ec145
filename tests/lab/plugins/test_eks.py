"""The eks plugin: the children of pulumi-eks, inputs that it cannot serve, the kubeconfig, waiting for the API."""

import json
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.errors import InputPropertiesError

from lab.plugins.eks import cluster as cluster_module
from lab.plugins.eks.cluster import Cluster
from lab.plugins.eks.kubeconfig import wait_for
from lab.plugins.eks.node_group import ManagedNodeGroup, ami_type
from lab.plugins.eks.provider import cause
from tests.support import golden_files, pulumi_mocks

CLUSTER = {
    "name": "demo",
    "vpcId": "vpc-1",
    "privateSubnetIds": ["subnet-a", "subnet-b"],
    "publicSubnetIds": ["subnet-c"],
    "version": "1.36",
    "authenticationMode": "API",
    "skipDefaultNodeGroup": True,
    "enabledClusterLogTypes": ["api", "audit"],
    "endpointPrivateAccess": True,
    "endpointPublicAccess": True,
    "publicAccessCidrs": ["198.51.100.0/24"],
    "upgradePolicy": {"supportType": "STANDARD"},
}
NODES = {
    "nodeRoleArn": "arn:aws:iam::123456789012:role/node",
    "scalingConfig": {"desiredSize": 2, "minSize": 1, "maxSize": 3},
    "instanceTypes": ["t3.medium"],
    "operatingSystem": "AL2023",
}


def _cluster(_: str, inputs: Any) -> dict[str, Any]:
    return {
        "arn": "arn:aws:eks:us-east-1:123456789012:cluster/demo",
        "endpoint": "https://198.19.240.1",
        "certificateAuthority": {"data": "Q0E="},
        "identities": [{"oidcs": [{"issuer": "https://oidc.example/id/1"}]}],
        **inputs,
        "vpcConfig": {**inputs["vpcConfig"], "clusterSecurityGroupId": "sg-eks"},
    }


@pytest.fixture(autouse=True)
def _mocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str, _inputs: Any) -> dict[str, Any]:
        return {}

    for token in (
        "aws:ec2/securityGroupRule:SecurityGroupRule",
        "aws:eks/addon:Addon",
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        "aws:eks/nodeGroup:NodeGroup",
        "eks:index:Cluster",
        "eks:index:ManagedNodeGroup",
        "eks:index:ServiceRole",
        "eks:index:VpcCniAddon",
    ):
        monkeypatch.setitem(pulumi_mocks.RESOURCES, token, nothing)
    monkeypatch.setitem(pulumi_mocks.RESOURCES, "aws:eks/cluster:Cluster", _cluster)
    monkeypatch.setitem(
        pulumi_mocks.CALLS,
        "aws:eks/getAddonVersion:getAddonVersion",
        lambda asked: {"version": f"{asked['addonName']}-1"},
    )

    async def at_once(endpoint: str, authority: str) -> str:
        assert authority == "Q0E="
        return endpoint

    monkeypatch.setattr(cluster_module, "answering", at_once)


def both(inputs: dict[str, Any] | None = None, nodes: dict[str, Any] | None = None) -> Cluster:
    cluster = Cluster("demo", {**CLUSTER, **(inputs or {})}, pulumi.ResourceOptions())
    ManagedNodeGroup("ng", {**NODES, "cluster": cluster.state["core"], **(nodes or {})}, pulumi.ResourceOptions())
    return cluster


def test_children_are_those_of_pulumi_eks() -> None:
    graph = pulumi_mocks.run(both)
    children = {
        f"{each.urn.split('::')[-2]} {each.name}": each.inputs
        for each in graph.resources
        if each.type.startswith("aws:")
    }
    golden_files.check("eks_components.json", json.dumps(children, indent=1, sort_keys=True) + "\n")


def test_a_preview_with_nothing_known() -> None:
    graph = pulumi_mocks.run(both, preview=True)
    assert len(graph.all("aws:ec2/securityGroupRule:SecurityGroupRule")) == 6
    assert graph.one("aws:eks/nodeGroup:NodeGroup").name == "ng"


def test_outputs() -> None:
    found: dict[str, Any] = {}

    def program() -> None:
        state = both().state
        for name in ("kubeconfigJson", "oidcIssuer", "oidcProviderUrl"):
            state[name].apply(lambda value, name=name: found.update({name: value}))
        state["core"]["endpoint"].apply(lambda value: found.update(endpoint=value))

    pulumi_mocks.run(program)
    assert found["endpoint"] == "https://198.19.240.1"
    assert found["oidcIssuer"] == "oidc.example/id/1"
    config = json.loads(found["kubeconfigJson"])
    assert config["clusters"][0]["cluster"] == {
        "server": "https://198.19.240.1",
        "certificate-authority-data": "Q0E=",
    }
    execute = config["users"][0]["user"]["exec"]
    assert [execute["command"], *execute["args"][:2]] == ["aws", "--region", "us-east-1"]
    assert execute["args"][2:] == ["eks", "get-token", "--cluster-name", "demo", "--output", "json"]


@pytest.mark.parametrize(
    ("inputs", "type_", "name", "expected"),
    [
        ({"tags": {"a": "b"}}, "aws:eks/addon:Addon", "demo-kube-proxy", {"tags": {"a": "b"}}),
        ({"clusterTags": {"a": "b"}}, "Cluster", "demo-eksCluster", {"tags": {"Name": "demo-eksCluster", "a": "b"}}),
        (
            {"kubernetesServiceIpAddressRange": "198.19.0.0/20"},
            "Cluster",
            "demo-eksCluster",
            {"kubernetesNetworkConfig": {"serviceIpv4Cidr": "198.19.0.0/20"}},
        ),
        (
            {"encryptionConfigKeyArn": "arn:k"},
            "Cluster",
            "demo-eksCluster",
            {"encryptionConfig": {"provider": {"keyArn": "arn:k"}, "resources": ["secrets"]}},
        ),
        ({"deletionProtection": True}, "Cluster", "demo-eksCluster", {"deletionProtection": True}),
        (
            {"kubeProxyAddonOptions": {"version": "v1"}},
            "Addon",
            "demo-kube-proxy",
            {"addonVersion": "v1"},
        ),
        (
            {"accessEntries": {"ops": {"principalArn": "arn:p", "kubernetesGroups": ["g"]}}},
            "AccessEntry",
            "demo-ops",
            {"principalArn": "arn:p", "kubernetesGroups": ["g"], "clusterName": "demo"},
        ),
    ],
)
def test_inputs_of_the_cluster(inputs: dict[str, Any], type_: str, name: str, expected: dict[str, Any]) -> None:
    graph = pulumi_mocks.run(lambda: both(inputs))
    token = f"aws:eks/{type_[:1].lower()}{type_[1:]}:{type_}" if "/" not in type_ else type_
    child = graph.one(token, name)
    assert {key: child.inputs.get(key) for key in expected} == expected


AUTO = {
    "autoMode": {"enabled": True, "createNodeRole": False, "computeConfig": {"nodeRoleArn": "arn:node"}},
    "corednsAddonOptions": {"enabled": False},
}


def automatic(**more: Any) -> pulumi_mocks.Graph:
    return pulumi_mocks.run(lambda: Cluster("demo", {**CLUSTER, **AUTO, **more}, pulumi.ResourceOptions()) and None)


def test_auto_mode_is_all_of_it() -> None:
    graph = automatic()
    cluster = graph.one("aws:eks/cluster:Cluster").inputs
    assert cluster["computeConfig"] == {
        "enabled": True, "nodePools": ["general-purpose", "system"], "nodeRoleArn": "arn:node",
    }  # fmt: skip
    assert cluster["storageConfig"] == {"blockStorage": {"enabled": True}}
    assert cluster["kubernetesNetworkConfig"] == {"elasticLoadBalancing": {"enabled": True}}
    assert cluster["bootstrapSelfManagedAddons"] is False
    assert "securityGroupIds" not in cluster["vpcConfig"]
    assert not graph.all("aws:ec2/securityGroup:SecurityGroup")
    assert not graph.all("aws:ec2/securityGroupRule:SecurityGroupRule")
    attached = graph.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert {each.inputs["policyArn"].rpartition("/")[2] for each in attached} == {
        f"AmazonEKS{what}Policy" for what in ("Cluster", "Compute", "BlockStorage", "LoadBalancing", "Networking")
    }
    assert {each.urn for each in attached} <= graph.one("aws:eks/cluster:Cluster").dependencies


def test_auto_mode_has_the_add_on_coredns_unless_told_otherwise() -> None:
    assert not automatic().all("aws:eks/addon:Addon")
    assert automatic(corednsAddonOptions={}).one("aws:eks/addon:Addon").inputs["addonName"] == "coredns"
    told = pulumi_mocks.run(lambda: both({"useDefaultVpcCni": True, "corednsAddonOptions": {"enabled": True}}))
    assert {each.inputs["addonName"] for each in told.all("aws:eks/addon:Addon")} == {"kube-proxy", "coredns"}


def test_auto_mode_gives_the_group_that_eks_makes() -> None:
    found: list[str] = []

    def program() -> None:
        state = Cluster("demo", {**CLUSTER, **AUTO}, pulumi.ResourceOptions()).state
        for name in ("clusterSecurityGroupId", "nodeSecurityGroupId"):
            state[name].apply(found.append)
        assert not {"clusterSecurityGroup", "nodeSecurityGroup", "eksClusterIngressRule"} & set(state)

    pulumi_mocks.run(program)
    assert found == ["sg-eks", "sg-eks"]


def test_policies_of_an_access_entry_belong_to_it() -> None:
    scope = {"policyArn": "arn:a", "accessScope": {"type": "cluster"}}
    entry = {"principalArn": "arn:p", "accessPolicies": {"admin": scope}}
    graph = pulumi_mocks.run(lambda: both({"accessEntries": {"ops": entry}}))
    association = graph.one("aws:eks/accessPolicyAssociation:AccessPolicyAssociation", "demo-ops-admin")
    assert association.parent == graph.one("aws:eks/accessEntry:AccessEntry").urn
    assert association.inputs == {"clusterName": "demo", "principalArn": "arn:p", **scope}


def test_add_ons_can_be_left_out() -> None:
    graph = pulumi_mocks.run(lambda: both({"useDefaultVpcCni": True, "kubeProxyAddonOptions": {"enabled": False}}))
    assert not graph.all("aws:eks/addon:Addon")


def test_inputs_of_the_node_group_reach_it() -> None:
    given = {
        "releaseVersion": "1.36.3-20260901",
        "labels": {"a": "b"},
        "taints": [{"key": "k", "effect": "NO_SCHEDULE"}],
        "subnetIds": ["subnet-x"],
        "version": "1.35",
        "nodeGroupName": "mine",
        "ignoreScalingChanges": True,
    }
    group = pulumi_mocks.run(lambda: both(nodes=given)).one("aws:eks/nodeGroup:NodeGroup")
    ignored = given.pop("ignoreScalingChanges")
    assert ignored
    assert {key: group.inputs[key] for key in given} == given
    assert group.ignore_changes == ["scalingConfig.desiredSize"]


@pytest.mark.parametrize(
    ("types", "gpu", "expected"),
    [
        (["t3.medium"], False, "AL2023_x86_64_STANDARD"),
        (["t4g.small"], False, "AL2023_ARM_64_STANDARD"),
        (["c7gn.large"], False, "AL2023_ARM_64_STANDARD"),
        (["g5.xlarge"], True, "AL2023_x86_64_NVIDIA"),
    ],
)
def test_image_fits_the_processor(types: list[str], gpu: bool, expected: str) -> None:
    found: list[str] = []
    pulumi_mocks.run(lambda: ami_type({"instanceTypes": types, "gpu": gpu}).apply(found.append))
    assert found == [expected]


@pytest.mark.parametrize(
    ("inputs", "path", "reason"),
    [
        ({"fargate": True}, "fargate", "not supported by the lab's eks plugin"),
        ({"autoMode": {"enabled": True}}, "autoMode.createNodeRole", "must be false: name a role"),
        ({"vpcid": "x"}, "vpcid", "did you mean vpcId?"),
        ({"authenticationMode": "CONFIG_MAP"}, "authenticationMode", "must be API"),
        ({"skipDefaultNodeGroup": False}, "skipDefaultNodeGroup", "must be true"),
    ],
)
def test_inputs_that_cannot_be_served_are_named(inputs: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(InputPropertiesError) as told:
        pulumi_mocks.run(lambda: both(inputs))
    assert told.value.message == "eks:index:Cluster demo"
    assert told.value.errors
    assert told.value.errors[0]["property_path"] == path
    assert reason in told.value.errors[0]["reason"]


@pytest.mark.parametrize(
    ("inputs", "path"),
    [({"operatingSystem": "Bottlerocket"}, "operatingSystem"), ({"nodeRole": {"arn": "a"}}, "nodeRoleArn")],
)
def test_node_groups_too(inputs: dict[str, Any], path: str) -> None:
    with pytest.raises(InputPropertiesError) as told:
        pulumi_mocks.run(lambda: both(nodes=inputs))
    assert told.value.errors
    assert told.value.errors[0]["property_path"] == path


def test_errors_are_told_by_their_cause() -> None:
    wrapped = ValueError("While processing input: 'core'")
    wrapped.__cause__ = TimeoutError("https://x/healthz did not answer")
    assert cause(wrapped) == "https://x/healthz did not answer"
    assert cause(KeyError("data")) == "KeyError: 'data'"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path, str]:
    """Certificate and key of 127.0.0.1, and the certificate as a kubeconfig has it."""
    certificate, key = tmp_path / "crt", tmp_path / "key"
    options = ["-days", "1", "-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*make, "-keyout", key, "-out", certificate, *options], check=True, capture_output=True)
    return certificate, key, b64encode(certificate.read_bytes()).decode()


class Health(BaseHTTPRequestHandler):
    """An API server that is ready at the third question."""

    answers = ((500, b"starting"), (200, b"not yet"), (200, b"ok"))
    asked = 0

    def do_GET(self) -> None:
        code, body = self.answers[min(Health.asked, len(self.answers) - 1)]
        Health.asked += 1
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


def test_waits_until_the_api_server_answers_ok(authority: tuple[Path, Path, str]) -> None:
    certificate, key, data = authority
    server = HTTPServer(("127.0.0.1", 0), Health)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"https://127.0.0.1:{server.server_port}"
    try:
        assert wait_for(endpoint, data, 10) == endpoint
        assert Health.asked == 3
    finally:
        server.shutdown()
        server.server_close()


def test_an_api_server_that_never_answers_is_told(authority: tuple[Path, Path, str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(TimeoutError, match=r"/healthz did not answer ok within 0\.3 s: .*refused"):
            wait_for(f"https://127.0.0.1:{unused.getsockname()[1]}", authority[2], 0.3)
