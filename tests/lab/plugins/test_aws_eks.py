"""The aws plugin's EKS types against a scripted EKS: botocore holds requests and answers to the real API's model."""

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.stub import ANY, Stubber

from lab.plugins.aws import types
from lab.plugins.aws.provider import Aws
from lab.plugins.aws.session import Session
from lab.plugins.provider import Change, PartialFailure, ProviderError, Resource
from lab.plugins.values import UNKNOWN

CLUSTER, GROUP = "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup"
ADDON, ENTRY = "aws:eks/addon:Addon", "aws:eks/accessEntry:AccessEntry"
CLUSTER_INPUTS = {
    "name": "demo",
    "roleArn": "arn:role",
    "version": "1.36",
    "vpcConfig": {"subnetIds": ["subnet-b", "subnet-a"], "endpointPublicAccess": True},
    "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
    "enabledClusterLogTypes": ["api"],
}
GROUP_INPUTS = {
    "clusterName": "demo",
    "nodeGroupName": "ng",
    "nodeRoleArn": "arn:node",
    "subnetIds": ["subnet-a"],
    "scalingConfig": {"desiredSize": 2, "minSize": 1, "maxSize": 3},
    "releaseVersion": "1.36.3-20260901",
    "labels": {"a": "1", "b": "2"},
}


def cluster(status: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    answer = {
        "name": "demo",
        "arn": "arn:aws:eks:us-east-1:123456789012:cluster/demo",
        "roleArn": "arn:role",
        "version": "1.36",
        "status": status,
        "resourcesVpcConfig": {"subnetIds": ["subnet-a", "subnet-b"], "endpointPublicAccess": True, "vpcId": "vpc-1"},
        "accessConfig": {"authenticationMode": "API"},
        "logging": {"clusterLogging": [{"types": ["api"], "enabled": True}, {"types": ["audit"], "enabled": False}]},
        "identity": {"oidc": {"issuer": "https://oidc.example/id/1"}},
        "encryptionConfig": [],
        "tags": {},
    }
    return {"cluster": {**answer, **more}}


def group(status: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    answer = {
        "clusterName": "demo",
        "nodegroupName": "ng",
        "nodegroupArn": "arn:ng",
        "nodeRole": "arn:node",
        "subnets": ["subnet-a"],
        "status": status,
        "version": "1.36",
        "releaseVersion": "1.36.3-20260901",
        "scalingConfig": {"desiredSize": 2, "minSize": 1, "maxSize": 3},
        "labels": {"a": "1", "b": "2"},
        "resources": {"autoScalingGroups": [{"name": "asg"}]},
    }
    return {"nodegroup": {**answer, **more}}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    provider = Aws(lambda *_, **__: None)  # type: ignore[arg-type]
    provider.session = Session({"region": "us-east-1"})
    monkeypatch.setattr(provider.cancelled, "wait", lambda _: False)  # no pauses between questions
    return provider


@pytest.fixture(scope="module")
def client() -> Any:
    return botocore.session.Session().create_client(
        "eks", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture
def eks(aws: Aws, client: Any) -> Iterator[Stubber]:
    aws.session.clients["eks", "us-east-1"] = client
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def change(token: str, resource_id: str = "", **parts: Any) -> Change:
    return Change(Resource(f"urn:pulumi:s::p::{token}::it", token, "it"), resource_id, **parts)


def update(state: str, **more: Any) -> dict[str, Any]:
    return {"update": {"id": "u", "status": state, "type": "VersionUpdate", **more}}


def test_cluster_from_creation_to_active(aws: Aws, eks: Stubber) -> None:
    asked = {
        **{name: CLUSTER_INPUTS[name] for name in ("name", "roleArn", "version", "accessConfig")},
        "resourcesVpcConfig": CLUSTER_INPUTS["vpcConfig"],
        "bootstrapSelfManagedAddons": True,
        "logging": {"clusterLogging": [{"types": ["api"], "enabled": True}]},
        "clientRequestToken": ANY,
    }
    eks.add_response("create_cluster", cluster("CREATING"), asked)
    for status in ("CREATING", "ACTIVE", "ACTIVE"):
        eks.add_response("describe_cluster", cluster(status), {"name": "demo"})
    made = change(CLUSTER, inputs=aws.check(change(CLUSTER).resource, {}, CLUSTER_INPUTS, b""))
    resource_id, outputs = aws.create(made)
    assert resource_id == "demo"
    assert outputs["identities"] == [{"oidcs": [{"issuer": "https://oidc.example/id/1"}]}]
    assert outputs["vpcConfig"]["subnetIds"] == ["subnet-b", "subnet-a"], "in the order of the inputs"
    assert outputs["vpcConfig"]["vpcId"] == "vpc-1"
    assert outputs["enabledClusterLogTypes"] == ["api"]
    assert "encryptionConfig" not in outputs, "an empty list is no object"
    assert not aws.diff(change(CLUSTER, "demo", inputs=made.inputs, old_inputs=made.inputs, state=outputs)).changed


def test_a_cluster_that_fails_stays_in_the_state_with_the_reason(aws: Aws, eks: Stubber) -> None:
    eks.add_response("create_cluster", cluster("CREATING"))
    failed = cluster("FAILED", health={"issues": [{"code": "Other", "message": "no addresses left"}]})
    eks.add_response("describe_cluster", failed)
    with pytest.raises(PartialFailure, match="demo is FAILED: no addresses left") as told:
        aws.create(change(CLUSTER, inputs=CLUSTER_INPUTS))
    assert told.value.id == "demo"


@pytest.mark.parametrize(("role", "adopted"), [("arn:role", True), ("arn:other", False)])
def test_a_cluster_of_an_interrupted_run_is_ours_if_it_is_as_asked(
    aws: Aws, eks: Stubber, role: str, adopted: bool
) -> None:
    eks.add_client_error("create_cluster", "ResourceInUseException", "Cluster already exists with name: demo")
    eks.add_response("describe_cluster", cluster("CREATING", roleArn=role))
    if not adopted:
        with pytest.raises(ProviderError, match="ResourceInUseException: Cluster already exists"):
            aws.create(change(CLUSTER, inputs=CLUSTER_INPUTS))
        return
    eks.add_response("describe_cluster", cluster())
    eks.add_response("describe_cluster", cluster())
    assert aws.create(change(CLUSTER, inputs=CLUSTER_INPUTS))[0] == "demo"


@pytest.mark.parametrize(
    ("new", "operation", "asked"),
    [
        ({"version": "1.37"}, "update_cluster_version", {"version": "1.37"}),
        ({"upgradePolicy": {"supportType": "STANDARD"}}, "update_cluster_config",
         {"upgradePolicy": {"supportType": "STANDARD"}}),
        ({"vpcConfig": {"subnetIds": ["subnet-a", "subnet-b"], "endpointPublicAccess": False}}, "update_cluster_config",
         {"resourcesVpcConfig": {"endpointPublicAccess": False}}),
        ({"enabledClusterLogTypes": []}, "update_cluster_config", {"logging": {"clusterLogging": [
            {"types": ["api", "audit", "authenticator", "controllerManager", "scheduler"], "enabled": False}]}}),
    ],
)  # fmt: skip
def test_a_cluster_changes_in_place_one_concern_at_a_time(
    aws: Aws, eks: Stubber, new: dict[str, Any], operation: str, asked: dict[str, Any]
) -> None:
    eks.add_response(operation, update("InProgress"), {"name": "demo", **asked})
    for state in ("InProgress", "Successful"):
        eks.add_response("describe_update", update(state), {"name": "demo", "updateId": "u"})
    for _ in range(2):
        eks.add_response("describe_cluster", cluster())
    inputs = {**CLUSTER_INPUTS, **new}
    diff = aws.diff(change(CLUSTER, "demo", inputs=inputs, old_inputs=CLUSTER_INPUTS))
    assert (list(diff.changed), list(diff.replaces)) == (list(new), [])
    aws.update(change(CLUSTER, "demo", inputs=inputs, old_inputs=CLUSTER_INPUTS, state={"arn": "arn:c"}))


def test_a_new_release_rolls_the_node_group(aws: Aws, eks: Stubber) -> None:
    place = {"clusterName": "demo", "nodegroupName": "ng"}
    asked = {**place, "releaseVersion": "1.36.3-20261101"}
    eks.add_response("update_nodegroup_version", update("InProgress"), asked)
    eks.add_response("describe_update", update("Successful"), {"name": "demo", "nodegroupName": "ng", "updateId": "u"})
    for _ in range(2):
        eks.add_response("describe_nodegroup", group(releaseVersion="1.36.3-20261101"), place)
    inputs = {**GROUP_INPUTS, "releaseVersion": "1.36.3-20261101"}
    outputs = aws.update(change(GROUP, "demo:ng", inputs=inputs, old_inputs=GROUP_INPUTS, state={}))
    assert outputs["releaseVersion"] == "1.36.3-20261101"
    assert outputs["resources"] == [{"autoscalingGroups": [{"name": "asg"}], "remoteAccessSecurityGroupId": ""}]


def test_labels_that_went_are_taken_away(aws: Aws, eks: Stubber) -> None:
    labels = {"addOrUpdateLabels": {"a": "1"}, "removeLabels": ["b"]}
    asked = {
        "clusterName": "demo",
        "nodegroupName": "ng",
        "scalingConfig": GROUP_INPUTS["scalingConfig"],
        "labels": labels,
    }
    eks.add_response("update_nodegroup_config", update("InProgress"), asked)
    eks.add_response("describe_update", update("Successful"))
    eks.add_response("describe_nodegroup", group())
    eks.add_response("describe_nodegroup", group(labels={"a": "1"}))
    inputs = {**GROUP_INPUTS, "labels": {"a": "1"}}
    assert aws.update(change(GROUP, "demo:ng", inputs=inputs, old_inputs=GROUP_INPUTS, state={}))["labels"] == {
        "a": "1"
    }


def test_a_failed_update_tells_what_eks_says_and_keeps_the_old_state(aws: Aws, eks: Stubber) -> None:
    eks.add_response("update_nodegroup_version", update("InProgress"))
    reasons = [{"errorCode": "PodEvictionFailure", "errorMessage": "a budget forbids it"}]
    eks.add_response("describe_update", update("Failed", errors=reasons))
    inputs = {**GROUP_INPUTS, "releaseVersion": "1.36.3-20261101"}
    with pytest.raises(PartialFailure, match="update VersionUpdate Failed: a budget forbids it") as told:
        aws.update(change(GROUP, "demo:ng", inputs=inputs, old_inputs=GROUP_INPUTS, state={"status": "ACTIVE"}))
    assert told.value.state == {"status": "ACTIVE"}


def test_deletion_waits_until_eks_knows_it_no_more(aws: Aws, eks: Stubber) -> None:
    eks.add_response("delete_nodegroup", group("DELETING"))
    eks.add_response("describe_nodegroup", group("DELETING"))
    eks.add_client_error("describe_nodegroup", "ResourceNotFoundException")
    aws.delete(change(GROUP, "demo:ng", old_inputs=GROUP_INPUTS, state={}))
    eks.add_client_error("delete_nodegroup", "ResourceNotFoundException")
    aws.delete(change(GROUP, "demo:ng", old_inputs=GROUP_INPUTS, state={}))


def test_a_busy_cluster_is_asked_again(aws: Aws, eks: Stubber) -> None:
    eks.add_client_error("delete_cluster", "ResourceInUseException", "it has an update in progress")
    eks.add_response("delete_cluster", cluster("DELETING"))
    eks.add_client_error("describe_cluster", "ResourceNotFoundException")
    aws.delete(change(CLUSTER, "demo", old_inputs=CLUSTER_INPUTS, state={}))


def test_a_preserved_addon_stays_in_the_cluster(aws: Aws, eks: Stubber) -> None:
    eks.add_response("delete_addon", {}, {"clusterName": "demo", "addonName": "kube-proxy", "preserve": True})
    eks.add_client_error("describe_addon", "ResourceNotFoundException")
    inputs = {"clusterName": "demo", "addonName": "kube-proxy", "preserve": True}
    aws.delete(change(ADDON, "demo:kube-proxy", old_inputs=inputs, state=inputs))


def test_access_entry(aws: Aws, eks: Stubber) -> None:
    principal = {"clusterName": "demo", "principalArn": "arn:p"}
    answer = {"accessEntry": {**principal, "username": "ops", "kubernetesGroups": ["g"], "type": "STANDARD"}}
    asked = {**principal, "username": "ops", "kubernetesGroups": ["g"], "type": "STANDARD", "clientRequestToken": ANY}
    eks.add_response("create_access_entry", answer, asked)
    eks.add_response("describe_access_entry", answer, principal)
    inputs = {**principal, "userName": "ops", "kubernetesGroups": ["g"], "type": "STANDARD"}
    resource_id, outputs = aws.create(change(ENTRY, inputs=inputs))
    assert resource_id == "demo:arn:p"
    assert outputs["userName"] == "ops"


def test_waiting_ends_with_its_time_and_with_the_engine(
    aws: Aws, eks: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    eks.add_response("create_cluster", cluster("CREATING"))
    eks.add_response("describe_cluster", cluster("CREATING"))
    monkeypatch.setattr(aws.cancelled, "wait", lambda _: True)
    with pytest.raises(PartialFailure, match="demo ACTIVE: cancelled"):
        aws.create(change(CLUSTER, inputs=CLUSTER_INPUTS))
    eks.add_response("create_cluster", cluster("CREATING"))
    eks.add_response("describe_cluster", cluster("CREATING"))
    times = iter([0.0, 10.0])
    monkeypatch.setattr(types.time, "monotonic", lambda: next(times, 10.0))
    with pytest.raises(PartialFailure, match="demo ACTIVE: not within the time given"):
        aws.create(change(CLUSTER, inputs=CLUSTER_INPUTS, timeout=5))


def test_a_cluster_with_node_groups_fails_at_once_in_the_words_of_eks(aws: Aws, eks: Stubber) -> None:
    eks.add_client_error("delete_cluster", "ResourceInUseException", "Cluster has nodegroups attached")
    with pytest.raises(ProviderError, match=r"ResourceInUseException: Cluster has nodegroups attached \(DeleteCluster"):
        aws.delete(change(CLUSTER, "demo", state=CLUSTER_INPUTS))


def test_a_delete_that_waits_until_the_end_of_its_time_says_what_for(
    aws: Aws, eks: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        eks.add_client_error("delete_cluster", "ResourceInUseException", "an update is in progress")
    times = iter([0.0, 1.0, 10.0])
    monkeypatch.setattr(types.time, "monotonic", lambda: next(times, 10.0))
    with pytest.raises(ProviderError, match=r"an update is in progress \(DeleteCluster\): not within the time given"):
        aws.delete(change(CLUSTER, "demo", state=CLUSTER_INPUTS, timeout=5))


IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
POD = {"clusterName": "demo", "namespace": "kube-system", "serviceAccount": "driver"}


def association(role: str = "arn:role") -> dict[str, Any]:
    told = {"associationId": "a-1", "associationArn": "arn:a-1", "roleArn": role, "tags": {}}
    return {"association": {**POD, **told}}


def test_life_of_a_pod_identity_association(aws: Aws, eks: Stubber) -> None:
    here, inputs = {"clusterName": "demo", "associationId": "a-1"}, {**POD, "roleArn": "arn:role"}
    eks.add_response("create_pod_identity_association", association(), {**inputs, "clientRequestToken": ANY})
    eks.add_response("describe_pod_identity_association", association(), here)
    made, outputs = aws.create(change(IDENTITY, inputs=inputs))
    assert (made, outputs["associationArn"]) == ("a-1", "arn:a-1")
    new = {**inputs, "roleArn": "arn:other"}
    again = change(IDENTITY, made, inputs=new, old_inputs=inputs, state=outputs)
    assert not aws.diff(again).replaces
    assert aws.diff(change(IDENTITY, made, inputs={**inputs, "namespace": "x"}, old_inputs=inputs)).replaces
    eks.add_response("update_pod_identity_association", association("arn:other"), {**here, "roleArn": "arn:other"})
    eks.add_response("describe_pod_identity_association", association("arn:other"), here)
    assert aws.update(again)["roleArn"] == "arn:other"
    eks.add_response("delete_pod_identity_association", association(), here)
    aws.delete(change(IDENTITY, made, old_inputs=inputs, state=outputs))


@pytest.mark.parametrize(("role", "adopted"), [("arn:role", True), ("arn:other", False)])
def test_an_association_of_an_interrupted_run_is_ours_if_it_gives_the_same_role(
    aws: Aws, eks: Stubber, role: str, adopted: bool
) -> None:
    eks.add_client_error("create_pod_identity_association", "ResourceInUseException", "exists")
    eks.add_response("list_pod_identity_associations", {"associations": [{**POD, "associationId": "a-1"}]}, POD)
    eks.add_response("describe_pod_identity_association", association(role))
    asked = change(IDENTITY, inputs={**POD, "roleArn": "arn:role"})
    if adopted:
        eks.add_response("describe_pod_identity_association", association(role))
        assert aws.create(asked)[0] == "a-1"
    else:
        with pytest.raises(ProviderError, match="exists"):
            aws.create(asked)


def test_an_access_entry_that_somebody_else_made_is_not_ours(aws: Aws, eks: Stubber) -> None:
    inputs = {"clusterName": "demo", "principalArn": "arn:aws:iam::123456789012:role/platform", "type": "STANDARD"}
    eks.add_client_error("create_access_entry", "ResourceInUseException", "already in use on this cluster")
    with pytest.raises(ProviderError, match="ResourceInUseException: already in use on this cluster"):
        aws.create(change("aws:eks/accessEntry:AccessEntry", inputs=inputs))


def test_a_preview_does_not_lose_what_eks_adds_to_what_it_is_given(aws: Aws) -> None:
    """Else pulumi-eks looks in vain for EKS's own security group."""
    given = CLUSTER_INPUTS["vpcConfig"]
    before = {**given, "clusterSecurityGroupId": "sg-1", "vpcId": "vpc-1"}
    wanted = {**CLUSTER_INPUTS, "vpcConfig": {**given, "endpointPublicAccess": False}}
    state = {**CLUSTER_INPUTS, "vpcConfig": before}
    planned = aws.update(change(CLUSTER, "demo", inputs=wanted, old_inputs=CLUSTER_INPUTS, state=state, preview=True))
    assert planned["vpcConfig"] == {**before, "endpointPublicAccess": False}
    _, created = aws.create(change(CLUSTER, inputs=CLUSTER_INPUTS, preview=True))
    assert created["vpcConfig"]["clusterSecurityGroupId"] is UNKNOWN
    assert created["vpcConfig"]["subnetIds"] == given["subnetIds"]
