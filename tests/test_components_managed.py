"""What a ManagedCluster is made of: its key, its logs, its add-ons, its nodes' launch template."""

import json
from typing import Any

import pulumi

from components.eks.add_on import NAMES, VERSIONS, AddOn, AddOnArgs, version_of
from components.eks.auto_mode import NODE_POLICIES
from components.eks.cluster_key import ClusterKey, ClusterKeyArgs, key_policy
from components.eks.control_plane_logs import ControlPlaneLogs, ControlPlaneLogsArgs, group_name
from components.eks.launch_template import LaunchTemplate, LaunchTemplateArgs
from components.eks.node_group import VOLUME_GIB
from components.eks.nodes import AutoNodes
from policies.guards import RULES
from stacks import prices
from tests import golden_files
from tests.pulumi_mocks import SECRET, Graph, run
from tests.test_components_clusters import managed

# ClusterKey


def test_the_key_rotates_and_has_a_name() -> None:
    def program() -> None:
        pulumi.export("arn", ClusterKey("k", ClusterKeyArgs("demo")).arn)

    graph = run(program)
    assert graph.one("Key").inputs["enableKeyRotation"] is True
    assert graph.one("Alias").inputs == {"name": "alias/demo-cluster", "targetKeyId": "k-key"}
    assert graph.exports["arn"] == "arn:aws-test:kms:us-east-1:1:key/k"


def test_the_key_is_for_the_account_and_one_log_group() -> None:
    told = {"partition": "aws-test", "dns_suffix": "test.example", "region": "us-east-1", "account": "123456789012"}
    for cluster in ("demo", "other"):
        made = run(lambda cluster=cluster: ClusterKey("k", ClusterKeyArgs(cluster)))  # type: ignore[misc]
        assert made.one("Key").inputs["policy"] == key_policy(**told, log_group_name=f"/aws/eks/{cluster}/cluster")
    aws = {**told, "partition": "aws", "dns_suffix": "amazonaws.com"}
    golden_files.check(
        "cluster_key.json", json.dumps(json.loads(key_policy(**aws, log_group_name="/g")), indent=1) + "\n"
    )


def test_secrets_are_encrypted_with_the_clusters_key() -> None:
    graph = managed()
    cluster = graph.one("eks:index:Cluster")
    assert cluster.inputs["encryptionConfigKeyArn"] == "arn:aws-test:kms:us-east-1:1:key/c-cluster"
    [allowed] = [s for s in json.loads(graph.one("Key").inputs["policy"])["Statement"] if s["Sid"] == "Logs"]
    assert allowed["Condition"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"].endswith(":/aws/eks/c/cluster")


def test_what_is_named_as_the_cluster_is_goes_with_its_name_not_the_components() -> None:
    def named(graph: Graph) -> list[str]:
        logs = [s for s in json.loads(graph.one("Key").inputs["policy"])["Statement"] if s["Sid"] == "Logs"]
        return [
            graph.one("eks:index:Cluster", "c").inputs["name"],
            graph.one("LogGroup", "c-control-plane").inputs["name"],
            graph.one("Alias", "c-cluster").inputs["name"],
            logs[0]["Condition"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"].split(":log-group:")[1],
        ]

    for name, graph in {"c": managed(), "old": managed(cluster_name="old")}.items():
        assert named(graph) == [name, f"/aws/eks/{name}/cluster", f"alias/{name}-cluster", f"/aws/eks/{name}/cluster"]


# ControlPlaneLogs


def logs(**changes: Any) -> Graph:
    args = {"cluster_name": "demo", "days": 7, "key_arn": "arn:k", **changes}
    return run(lambda: ControlPlaneLogs("l", ControlPlaneLogsArgs(**args)))


def test_the_log_group_follows_its_arguments() -> None:
    inputs = logs(cluster_name="other", days=30, key_arn="arn:other").one("LogGroup").inputs
    assert (inputs["name"], inputs["retentionInDays"], inputs["kmsKeyId"]) == (group_name("other"), 30, "arn:other")
    assert group_name("demo") == "/aws/eks/demo/cluster"


def test_logs_are_there_before_the_cluster_that_fills_them() -> None:
    graph = managed(log_days=3)
    group = graph.one("LogGroup")
    assert (group.inputs["name"], group.inputs["retentionInDays"]) == ("/aws/eks/c/cluster", 3)
    assert group.inputs["kmsKeyId"] == graph.one("eks:index:Cluster").inputs["encryptionConfigKeyArn"]
    assert group.urn in graph.one("eks:index:Cluster").dependencies
    assert managed().one("LogGroup").inputs["retentionInDays"] == 30


# LaunchTemplate


def test_machines_are_guarded_and_their_parts_tagged() -> None:
    made = run(lambda: LaunchTemplate("t", LaunchTemplateArgs("m7i.large", volume_gib=33))).one(
        "aws:ec2/launchTemplate:LaunchTemplate"
    )
    assert made.inputs["instanceType"] == "m7i.large"
    assert made.inputs["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    [disk] = made.inputs["blockDeviceMappings"]
    assert disk["ebs"] == {"volumeType": "gp3", "volumeSize": 33, "encrypted": "true", "deleteOnTermination": "true"}
    tagged = {each["resourceType"]: each["tags"] for each in made.inputs["tagSpecifications"]}
    assert set(tagged) == {"instance", "volume", "network-interface"}
    assert all(tags == made.inputs["tags"] for tags in tagged.values())
    assert not [sentence for rule in RULES for sentence in rule(made.type, made.inputs)]


def test_nodes_follow_their_template_and_the_control_plane() -> None:
    graph = managed(kubernetes_version="1.35")
    group = graph.one("aws:eks/nodeGroup:NodeGroup")
    template = graph.one("aws:ec2/launchTemplate:LaunchTemplate")
    assert group.inputs["launchTemplate"] == {"id": "c-nodes-id", "version": "3"}
    assert "diskSize" not in group.inputs
    assert (group.inputs["clusterName"], group.inputs["version"]) == ("c", "1.35")
    assert group.inputs["updateConfig"] == {"maxUnavailable": 1}
    assert template.inputs["blockDeviceMappings"][0]["ebs"]["volumeSize"] == VOLUME_GIB == prices.ROOT_GIB["managed"]


# AddOn


def test_an_add_on_follows_its_arguments() -> None:
    def made(*args: Any) -> dict[str, Any]:
        return run(lambda: AddOn("a", AddOnArgs(*args))).one("aws:eks/addon:Addon").inputs

    inputs = made("demo", "coredns", "v1")
    assert (inputs["clusterName"], inputs["addonName"], inputs["addonVersion"]) == ("demo", "coredns", "v1")
    assert made("other", "vpc-cni", None)["clusterName"] == "other"
    assert not {"addonVersion", "configurationValues"} & set(made("other", "vpc-cni", None))
    assert json.loads(made("demo", "coredns", "v1", {"replicaCount": 3})["configurationValues"]) == {"replicaCount": 3}


def test_versions_are_pinned_in_one_place_unless_chosen() -> None:
    assert all(set(each) == set(NAMES) for each in VERSIONS.values())
    assert version_of("coredns", "1.36", {}) == VERSIONS["1.36"]["coredns"]
    assert version_of("coredns", "1.36", {"coredns": "v9"}) == "v9"
    assert version_of("coredns", "1.34", {}) is None


def test_add_ons_come_in_the_order_in_which_nodes_need_them() -> None:
    graph = managed(add_on_versions={"coredns": "v9"})
    made = {each.inputs["addonName"]: each for each in graph.all("aws:eks/addon:Addon")}
    assert set(made) == {"vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "metrics-server"}
    assert {name: each.inputs["addonVersion"] for name, each in made.items()} == {
        **{name: VERSIONS["1.36"][name] for name in made},
        "coredns": "v9",
    }
    settings = json.loads(made["vpc-cni"].inputs["configurationValues"])
    assert settings["enableNetworkPolicy"] == "true", "else NetworkPolicy objects are taken and not acted on"
    group = graph.one("aws:eks/nodeGroup:NodeGroup")
    assert {each.urn for name, each in made.items() if name not in ("coredns", "metrics-server")} <= graph.before(group)
    assert all(group.urn in graph.before(made[name]) for name in ("coredns", "metrics-server")), "they need nodes"
    assert made["coredns"].urn in graph.before(graph.one("pulumi:providers:kubernetes"))


def test_nothing_else_installs_what_the_add_ons_are() -> None:
    inputs = managed().one("eks:index:Cluster").inputs
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert inputs["useDefaultVpcCni"] is True
    assert inputs["kubeProxyAddonOptions"]["enabled"] is False
    # Else pulumi-eks adds it in Auto Mode, and fails: https://github.com/pulumi/pulumi-eks/issues/1726
    assert managed(nodes=AutoNodes()).one("eks:index:Cluster").inputs["corednsAddonOptions"]["enabled"] is False


# Node modes


def test_auto_mode_has_a_role_and_no_node_group() -> None:
    graph = managed(nodes=AutoNodes())
    assert graph.one("eks:index:Cluster").inputs["autoMode"] == {
        "enabled": True,
        "createNodeRole": False,
        "computeConfig": {
            "nodePools": ["general-purpose", "system"],
            "nodeRoleArn": "arn:test:iam::1:role/c-auto-nodes",
        },
    }
    attached = graph.all("RolePolicyAttachment")
    assert {each.inputs["policyArn"].rpartition("/")[2] for each in attached} == set(NODE_POLICIES)
    assert {each.urn for each in attached} <= graph.one("eks:index:Cluster").dependencies
    assert not graph.all("aws:eks/nodeGroup:NodeGroup")
    assert not graph.all("aws:eks/addon:Addon")
    assert SECRET in graph.exports["kubeconfig"]
    assert "autoMode" not in managed().one("eks:index:Cluster").inputs
