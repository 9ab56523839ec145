"""The EKS API through boto3: shapes that botocore reads, and the errors that EKS gives."""

import re
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.cloud.eks import access, addon, endpoint, model
from lab.cloud.eks.control_plane import ControlPlane
from lab.cloud.eks.state import Store
from tests.eks_cloud import KEY, ROLE, USER, Account, account, eks, make_cluster, make_group, store

__all__ = ["account", "eks", "store"]

CREATE = {
    "name": "demo",
    "roleArn": ROLE + "eks",
    "version": "1.36",
    "resourcesVpcConfig": {"subnetIds": ["subnet-a", "subnet-b"]},
    "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
    "upgradePolicy": {"supportType": "STANDARD"},
}
GROUP = {
    "clusterName": "demo",
    "nodegroupName": "ng",
    "subnets": ["subnet-a", "subnet-b"],
    "nodeRole": ROLE + "node",
    "scalingConfig": {"minSize": 1, "maxSize": 3, "desiredSize": 2},
}


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def refuse(call: Any, expected: str, message: str, **given: Any) -> None:
    with pytest.raises(ClientError, match=message) as error:
        call(**given)
    assert code(error) == expected


def test_a_cluster_is_told_in_full(eks: Any) -> None:
    made = eks.create_cluster(**CREATE)["cluster"]
    assert made == eks.describe_cluster(name="demo")["cluster"]
    assert made["status"] == "CREATING"
    assert made["arn"] == "arn:aws:eks:us-east-1:123456789012:cluster/demo"
    assert made["kubernetesNetworkConfig"]["serviceIpv4Cidr"] == "198.19.0.0/20"
    assert made["resourcesVpcConfig"]["vpcId"] == "vpc-1"
    assert made["upgradePolicy"] == {"supportType": "STANDARD"}
    assert made["identity"]["oidc"]["issuer"].startswith("https://oidc.eks.us-east-1.amazonaws.com/id/")
    assert "endpoint" not in made
    assert eks.list_clusters()["clusters"] == ["demo"]


def test_the_creator_is_administrator(eks: Any, store: Store) -> None:
    eks.create_cluster(**CREATE)
    assert eks.list_access_entries(clusterName="demo")["accessEntries"] == [USER]
    assert access.identify(store.cluster("demo"), USER) == (USER, ["system:masters"])
    without = CREATE | {"name": "other", "accessConfig": {"bootstrapClusterCreatorAdminPermissions": False}}
    eks.create_cluster(**without)
    assert access.identify(store.cluster("other"), USER) is None


def test_two_clusters_share_no_addresses(store: Store, account: Account) -> None:  # noqa: ARG001
    first, second = make_cluster(store, "a"), make_cluster(store, "b")
    assert first.address != second.address
    assert first.pods != second.pods
    assert first.id != second.id


def encrypted(key: str, resource: str = "secrets") -> dict[str, Any]:
    return {"encryptionConfig": [{"resources": [resource], "provider": {"keyArn": key}}]}


def test_a_key_for_secrets_is_told(eks: Any, store: Store) -> None:
    assert eks.create_cluster(**CREATE)["cluster"]["encryptionConfig"] == []
    made = eks.create_cluster(**CREATE | {"name": "other"} | encrypted(KEY))["cluster"]
    assert made["encryptionConfig"] == encrypted(KEY)["encryptionConfig"]
    assert store.cluster("other").api["encryptionConfig"] == made["encryptionConfig"]


@pytest.mark.parametrize(
    ("change", "expected", "message"),
    [
        ({"version": "1.30"}, "InvalidParameterException", "unsupported Kubernetes version"),
        ({"roleArn": ROLE + "gone"}, "InvalidParameterException", "could not be assumed"),
        ({"roleArn": ROLE + "node"}, "InvalidParameterException", "could not be assumed"),
        ({"resourcesVpcConfig": {"subnetIds": ["subnet-a"]}}, "InvalidParameterException", "two different AZs"),
        ({"resourcesVpcConfig": {"subnetIds": ["subnet-b", "subnet-c"]}}, "InvalidParameterException", "same VPC"),
        ({"resourcesVpcConfig": {"subnetIds": ["subnet-x"]}}, "InvalidParameterException", "subnet-x"),
        ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.0.0.0/16"}}, "InvalidParameterException", "198.18.0.0/15"),
        ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "banana"}}, "InvalidParameterException", "banana"),
        ({"encryptionConfig": [{"resources": ["secrets"]}]}, "InvalidParameterException", "encryptionConfig"),
        (encrypted(KEY, "pods"), "InvalidParameterException", "a provider.keyArn and the resources"),
        (encrypted("arn:gone"), "InvalidParameterException", "'arn:gone' does not exist"),
        (encrypted(KEY + "-disabled"), "InvalidParameterException", "enabled and symmetric"),
        (encrypted(KEY + "-rsa"), "InvalidParameterException", "enabled and symmetric"),
        ({"computeConfig": {"enabled": True}}, "InvalidParameterException", "computeConfig"),
        ({"upgradePolicy": {"supportType": "GOLD"}}, "InvalidParameterException", "EXTENDED"),
    ],
)
def test_what_a_cluster_cannot_be(eks: Any, change: dict[str, Any], expected: str, message: str) -> None:
    refuse(eks.create_cluster, expected, message, **CREATE | change)
    assert eks.list_clusters()["clusters"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [({"nmae": "demo"}, "nmae"), ({"resourcesVpcConfig": {"subnetIds": "subnet-a"}}, "subnetIds")],
)
def test_what_boto3_does_not_even_send(change: dict[str, Any], message: str) -> None:
    with pytest.raises(model.EksError, match=message) as error:
        model.parse("POST", "/clusters", "", CREATE | change)
    assert (error.value.code, error.value.status) == ("InvalidParameterException", 400)


def test_missing_members_are_named(eks: Any) -> None:
    refuse(eks.create_cluster, "InvalidParameterException", "roleArn", name="demo")


def test_a_name_is_taken_once_unless_the_same_request_comes_again(eks: Any) -> None:
    first = eks.create_cluster(**CREATE, clientRequestToken="t")["cluster"]
    assert eks.create_cluster(**CREATE, clientRequestToken="t")["cluster"]["createdAt"] == first["createdAt"]
    refuse(eks.create_cluster, "ResourceInUseException", "already exists", **CREATE, clientRequestToken="u")


def test_what_is_not_there(eks: Any) -> None:
    refuse(eks.describe_cluster, "ResourceNotFoundException", "No cluster found for name: x.", name="x")
    eks.create_cluster(**CREATE)
    refuse(eks.describe_nodegroup, "ResourceNotFoundException", "No node group", clusterName="demo", nodegroupName="x")
    refuse(eks.describe_addon, "ResourceNotFoundException", "No addon: x", clusterName="demo", addonName="x")
    refuse(eks.describe_update, "ResourceNotFoundException", "x", name="demo", updateId="x")
    refuse(eks.describe_access_entry, "ResourceNotFoundException", "principalArn", clusterName="demo", principalArn="x")


def test_a_node_group_needs_an_active_cluster(eks: Any) -> None:
    eks.create_cluster(**CREATE)
    refuse(eks.create_nodegroup, "ResourceInUseException", "not in ACTIVE status", **GROUP)


def test_a_launch_template_is_told_and_checked(eks: Any, store: Store) -> None:
    make_cluster(store)
    template = {"id": "lt-2", "version": "4"}
    for wrong, message in (
        ({"launchTemplate": {"id": "lt-9"}}, "lt-9 does not exist"),
        ({"launchTemplate": {"id": "lt-3", "version": "1"}}, "launchTemplate with ImageId"),
        ({"launchTemplate": template, "diskSize": 30}, "Disk size must be specified within the launch template"),
    ):
        refuse(eks.create_nodegroup, "InvalidParameterException", message, **GROUP | wrong)
    both = {"launchTemplate": template, "instanceTypes": ["t3.large"]}
    refuse(eks.create_nodegroup, "InvalidRequestException", "Cannot specify instance types in", **GROUP | both)
    made = eks.create_nodegroup(**GROUP, launchTemplate=template)["nodegroup"]
    assert made["launchTemplate"] == {"id": "lt-2", "name": "its-name", "version": "4"}
    assert "instanceTypes" not in made, "as where the template has one"
    assert "diskSize" not in made
    with store.change() as clusters:
        clusters["demo"].nodegroups["ng"].api["status"] = "ACTIVE"
    other = {"clusterName": "demo", "nodegroupName": "ng", "launchTemplate": {"id": "lt-1", "version": "1"}}
    refuse(eks.update_nodegroup_version, "InvalidParameterException", "a different launch template", **other)
    with store.change() as clusters:  # as one that was made with a type of its own
        clusters["demo"].nodegroups["ng"].api["instanceTypes"] = ["t3.medium"]
    refuse(
        eks.update_nodegroup_version, "InvalidParameterException", "continue to not specify an instance type",
        **other | {"launchTemplate": template},
    )  # fmt: skip


def test_a_node_group_is_told_in_full(eks: Any, store: Store) -> None:
    make_cluster(store)
    made = eks.create_nodegroup(**GROUP, labels={"a": "b"}, tags={"t": "u"})["nodegroup"]
    assert made == eks.describe_nodegroup(clusterName="demo", nodegroupName="ng")["nodegroup"]
    assert made["status"] == "CREATING"
    assert made["releaseVersion"] == "1.36.3-20261101"
    assert made["instanceTypes"] == ["t3.medium"]
    assert made["amiType"] == "AL2023_x86_64_STANDARD"
    assert eks.list_nodegroups(clusterName="demo")["nodegroups"] == ["ng"]
    entry = eks.describe_access_entry(clusterName="demo", principalArn=ROLE + "node")["accessEntry"]
    assert entry["type"] == "EC2_LINUX"
    assert entry["kubernetesGroups"] == ["system:nodes"]
    refuse(eks.delete_cluster, "ResourceInUseException", "nodegroups attached", name="demo")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"releaseVersion": "1.36.3-20200101"}, "1.36.3-20260901, 1.36.3-20261101"),
        ({"remoteAccess": {"ec2SshKey": "k"}}, "no SSH server"),
        ({"amiType": "BOTTLEROCKET_x86_64"}, "AL2023"),
        ({"nodeRole": ROLE + "eks"}, "could not be assumed"),
        ({"subnets": ["subnet-c"]}, "VPC of the cluster"),
        ({"scalingConfig": {"minSize": 3, "maxSize": 2, "desiredSize": 2}}, "desired capacity"),
        ({"labels": {"kubernetes.io/os": "x"}}, "reserved"),
        ({"capacityType": "SPOT"}, "ON_DEMAND"),
        ({"version": "1.35"}, "1.35"),
    ],
)
def test_what_a_node_group_cannot_be(eks: Any, store: Store, change: dict[str, Any], message: str) -> None:
    make_cluster(store)
    refuse(eks.create_nodegroup, "InvalidParameterException", message, **GROUP | change)


def test_updates_are_recorded(eks: Any, store: Store) -> None:
    make_cluster(store)
    make_group(store)
    here = {"clusterName": "demo", "nodegroupName": "ng"}
    refuse(eks.update_nodegroup_version, "ResourceInUseException", "CREATING", **here)
    with store.change() as clusters:
        clusters["demo"].nodegroups["ng"].api["status"] = "ACTIVE"
    update = eks.update_nodegroup_version(**here)["update"]
    assert update["status"] == "InProgress"
    assert {"type": "ReleaseVersion", "value": "1.36.3-20261101"} in update["params"]
    assert eks.describe_update(name="demo", nodegroupName="ng", updateId=update["id"])["update"] == update
    assert eks.list_updates(name="demo", nodegroupName="ng")["updateIds"] == [update["id"]]
    assert eks.list_updates(name="demo")["updateIds"] == []
    refuse(eks.update_nodegroup_version, "ResourceInUseException", "UPDATING", **here)


def test_labels_and_taints_change(eks: Any, store: Store) -> None:
    make_cluster(store)
    make_group(store, labels={"a": "1", "b": "2"})
    with store.change() as clusters:
        clusters["demo"].nodegroups["ng"].api["status"] = "ACTIVE"
    taint = {"key": "k", "value": "v", "effect": "NO_SCHEDULE"}
    eks.update_nodegroup_config(
        clusterName="demo", nodegroupName="ng",
        labels={"addOrUpdateLabels": {"c": "3"}, "removeLabels": ["a"]}, taints={"addOrUpdateTaints": [taint]},
    )  # fmt: skip
    made = eks.describe_nodegroup(clusterName="demo", nodegroupName="ng")["nodegroup"]
    assert made["labels"] == {"b": "2", "c": "3"}
    assert made["taints"] == [taint]


def test_cluster_settings_change_one_at_a_time(eks: Any, store: Store) -> None:
    make_cluster(store)
    logs = {"clusterLogging": [{"types": ["api"], "enabled": True}]}
    refuse(
        eks.update_cluster_config, "InvalidParameterException", "Only one type",
        name="demo", logging=logs, upgradePolicy={"supportType": "STANDARD"},
    )  # fmt: skip
    update = eks.update_cluster_config(name="demo", logging=logs)["update"]
    assert update["type"] == "LoggingUpdate"
    made = eks.describe_cluster(name="demo")["cluster"]
    assert made["status"] == "UPDATING"
    assert made["logging"]["clusterLogging"][0] == {"types": ["api"], "enabled": True}
    assert made["logging"]["clusterLogging"][1]["types"] == ["audit", "authenticator", "controllerManager", "scheduler"]
    refuse(eks.update_cluster_version, "ResourceInUseException", "UPDATING", name="demo", version="1.37")


def test_authentication_modes_go_one_way(eks: Any, store: Store) -> None:
    make_cluster(store)
    back = {"authenticationMode": "CONFIG_MAP"}
    refuse(eks.update_cluster_config, "InvalidParameterException", "from API to", name="demo", accessConfig=back)


def test_the_only_version_is_no_upgrade(eks: Any, store: Store) -> None:
    make_cluster(store)
    refuse(eks.update_cluster_version, "InvalidParameterException", "already", name="demo", version="1.36")
    refuse(eks.update_cluster_version, "InvalidParameterException", "unsupported", name="demo", version="1.37")


def test_addons(eks: Any, store: Store) -> None:
    make_cluster(store)
    offered = {each["addonName"] for each in eks.describe_addon_versions(kubernetesVersion="1.36")["addons"]}
    assert offered == {"coredns", "kube-proxy", "metrics-server"} | set(addon.STAND_INS)
    [agent] = eks.describe_addon_versions(addonName="eks-pod-identity-agent")["addons"]
    assert agent["type"] == "security"
    (proxy,) = eks.describe_addon_versions(addonName="kube-proxy")["addons"]
    version = proxy["addonVersions"][0]["addonVersion"]
    made = eks.create_addon(clusterName="demo", addonName="kube-proxy", addonVersion=version)["addon"]
    assert made["status"] == "CREATING"
    assert eks.list_addons(clusterName="demo")["addons"] == ["kube-proxy"]
    refuse(eks.create_addon, "ResourceInUseException", "already exists", clusterName="demo", addonName="kube-proxy")
    refuse(
        eks.create_addon, "InvalidParameterException", "not supported: banana",
        clusterName="demo", addonName="coredns", configurationValues='{"banana": 1}',
    )  # fmt: skip
    refuse(
        eks.create_addon,
        "InvalidParameterException",
        "version",
        clusterName="demo",
        addonName="coredns",
        addonVersion="v1",
    )
    eks.create_addon(clusterName="demo", addonName="vpc-cni", configurationValues='{"env": {"A": "B"}}')
    assert eks.delete_addon(clusterName="demo", addonName="vpc-cni", preserve=True)["addon"]["status"] == "DELETING"


def test_access_entries(eks: Any, store: Store) -> None:
    make_cluster(store)
    role, here = ROLE + "reader", {"clusterName": "demo", "principalArn": ROLE + "reader"}
    entry = eks.create_access_entry(**here, kubernetesGroups=["readers"])["accessEntry"]
    assert entry["username"] == "arn:aws:sts::123456789012:assumed-role/reader/{{SessionName}}"
    view = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    scope = {"type": "namespace", "namespaces": ["t"]}
    eks.associate_access_policy(**here, policyArn=view, accessScope=scope)
    session = "arn:aws:sts::123456789012:assumed-role/reader/me"
    assert access.identify(store.cluster("demo"), session) == (
        session,
        ["readers", "eks-access-policy:AmazonEKSViewPolicy:t"],
    )
    assert access.scopes(store.cluster("demo")) == {("AmazonEKSViewPolicy", "t")}
    (associated,) = eks.list_associated_access_policies(**here)["associatedAccessPolicies"]
    assert associated["accessScope"] == scope
    eks.disassociate_access_policy(**here, policyArn=view)
    eks.update_access_entry(**here, kubernetesGroups=["writers"])
    assert access.identify(store.cluster("demo"), role) is not None
    eks.delete_access_entry(**here)
    assert access.identify(store.cluster("demo"), session) is None
    refuse(eks.create_access_entry, "InvalidParameterException", "system:", **here, kubernetesGroups=["system:masters"])
    refuse(
        eks.associate_access_policy, "ResourceNotFoundException", "reader", **here, policyArn=view, accessScope=scope
    )


POD = {"clusterName": "demo", "namespace": "kube-system", "serviceAccount": "driver"}


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("create_nodegroup", GROUP),
        ("create_addon", {"clusterName": "demo", "addonName": "kube-proxy"}),
        ("create_access_entry", {"clusterName": "demo", "principalArn": ROLE + "reader"}),
        ("create_pod_identity_association", {**POD, "roleArn": ROLE + "pods"}),
    ],
)
def test_the_same_request_again_has_the_first_one_s_answer(
    eks: Any, store: Store, operation: str, given: dict[str, Any]
) -> None:
    make_cluster(store)
    create = getattr(eks, operation)
    first, again = (create(**given, clientRequestToken="t") for _ in range(2))
    assert {**first, "ResponseMetadata": None} == {**again, "ResponseMetadata": None}
    refuse(create, "ResourceInUseException", "already", **given, clientRequestToken="u")


def test_pod_identity_associations(eks: Any, store: Store) -> None:
    make_cluster(store)
    made = eks.create_pod_identity_association(**POD, roleArn=ROLE + "pods", tags={"a": "1"})["association"]
    here = {"clusterName": "demo", "associationId": made["associationId"]}
    assert re.fullmatch("a-[a-z0-9]{17}", made["associationId"])
    assert made["associationArn"].endswith(f":podidentityassociation/demo/{made['associationId']}")
    assert eks.describe_pod_identity_association(**here)["association"] == made
    refuse(eks.create_pod_identity_association, "ResourceInUseException", "exists", **POD, roleArn=ROLE + "pods")
    eks.create_pod_identity_association(**POD | {"namespace": "other"}, roleArn=ROLE + "pods")

    def listed(**of: str) -> list[str]:
        found = eks.list_pod_identity_associations(clusterName="demo", **of)["associations"]
        return [each["namespace"] for each in found]

    assert listed() == ["kube-system", "other"]
    assert listed(namespace="other") == ["other"]
    assert listed(serviceAccount="x") == []
    eks.tag_resource(resourceArn=made["associationArn"], tags={"b": "2"})
    changed = eks.update_pod_identity_association(**here, roleArn=ROLE + "other-pods")["association"]
    assert (changed["roleArn"], changed["tags"]) == (ROLE + "other-pods", {"a": "1", "b": "2"})
    eks.delete_pod_identity_association(**here)
    refuse(eks.describe_pod_identity_association, "ResourceNotFoundException", "No association found", **here)
    assert listed() == ["other"]


def test_an_association_is_of_a_role_that_trusts_pods(eks: Any, store: Store) -> None:
    make_cluster(store)
    create = eks.create_pod_identity_association
    for role in ("node", "unknown"):
        refuse(create, "InvalidParameterException", "trusted entity", **POD, roleArn=ROLE + role)
    pods = ROLE + "pods"
    refuse(create, "InvalidParameterException", "targetRoleArn", **POD, roleArn=pods, targetRoleArn=pods)
    refuse(create, "ResourceNotFoundException", "nowhere", **POD | {"clusterName": "nowhere"}, roleArn=pods)
    made = create(**POD, roleArn=pods)["association"]["associationId"]
    update = eks.update_pod_identity_association
    here = {"clusterName": "demo", "associationId": made}
    refuse(update, "InvalidParameterException", "trusted entity", **here, roleArn=ROLE + "node")


class Reviewer:
    """A cluster that knows one token, of a pod."""

    def __init__(self, account: str) -> None:
        self.account = account

    def review(self, token: str, audience: str) -> Any:
        if (token, audience) != ("good", "pods.eks.amazonaws.com"):
            return {"user": {}, "error": "invalid"}
        pod = {"authentication.kubernetes.io/pod-name": ["driver-0"]}
        return {"authenticated": True, "audiences": [audience], "user": {"username": self.account, "extra": pod}}


def test_a_pod_s_token_gives_its_role(eks: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cluster(store)
    made = eks.create_pod_identity_association(**POD, roleArn=ROLE + "pods")["association"]

    def taken(token: str, account: str = "system:serviceaccount:kube-system:driver") -> Any:
        monkeypatch.setattr(ControlPlane, "kube", Reviewer(account))
        return endpoint.OPERATIONS["AssumeRoleForPodIdentity"](store, {"clusterName": "demo", "token": token})

    given = taken("good")
    assert given["credentials"]["accessKeyId"] == f"key of {ROLE}pods"
    assert given["subject"] == {"namespace": "kube-system", "serviceAccount": "driver"}
    assert given["podIdentityAssociation"]["associationId"] == made["associationId"]
    assert re.fullmatch("eks-demo-driver-0-[0-9a-f]{10}", given["assumedRoleUser"]["arn"])
    for token, owner, code in (
        ("bad", "system:serviceaccount:kube-system:driver", "InvalidTokenException"),
        ("good", "system:node:n", "InvalidTokenException"),
        ("good", "system:serviceaccount:default:driver", "ResourceNotFoundException"),
    ):
        with pytest.raises(model.EksError) as error:
            taken(token, owner)
        assert (error.value.code, error.value.status < 500) == (code, True)


def test_what_nodes_ask_is_an_operation_too() -> None:
    path = "/clusters/demo/assume-role-for-pod-identity"
    operation, given = model.parse("POST", path, "", {"token": "t"})
    assert (operation.name, given) == ("AssumeRoleForPodIdentity", {"clusterName": "demo", "token": "t"})


def test_tags(eks: Any, store: Store) -> None:
    arn = make_cluster(store).api["arn"]
    eks.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    eks.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    assert eks.describe_cluster(name="demo")["cluster"]["tags"] == {"b": "2"}
    refuse(eks.tag_resource, "NotFoundException", "could not be found", resourceArn=arn + "x", tags={"a": "1"})


def test_what_the_lab_does_not_do_is_said(eks: Any, store: Store) -> None:
    make_cluster(store)
    refuse(
        eks.create_fargate_profile, "ClientException", "CreateFargateProfile",
        clusterName="demo", fargateProfileName="f", podExecutionRoleArn=ROLE + "eks",
    )  # fmt: skip
    with pytest.raises(model.EksError) as error:
        model.parse("GET", "/cluster", "", {})
    assert error.value.status == 404


def test_times_are_times(eks: Any) -> None:
    made = eks.create_cluster(**CREATE)["cluster"]
    assert abs(made["createdAt"].timestamp() - time.time()) < 60


def test_every_handler_is_an_operation_of_eks() -> None:
    assert set(endpoint.OPERATIONS) < {name for each in model.services() for name in each.operation_names}


AUTO = CREATE | {
    "bootstrapSelfManagedAddons": False,
    "computeConfig": {"enabled": True, "nodePools": ["general-purpose", "system"], "nodeRoleArn": ROLE + "node"},
    "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}},
    "storageConfig": {"blockStorage": {"enabled": True}},
}


def test_auto_mode_is_told(eks: Any, store: Store) -> None:
    made = eks.create_cluster(**AUTO)["cluster"]
    assert made["computeConfig"] == AUTO["computeConfig"]
    assert made["storageConfig"] == AUTO["storageConfig"]
    assert made["kubernetesNetworkConfig"]["elasticLoadBalancing"] == {"enabled": True}
    assert eks.list_nodegroups(clusterName="demo")["nodegroups"] == []
    entry = eks.describe_access_entry(clusterName="demo", principalArn=ROLE + "node")["accessEntry"]
    assert (entry["type"], entry["username"]) == ("EC2", "system:node:{{EC2PrivateDNSName}}")
    told = eks.list_associated_access_policies(clusterName="demo", principalArn=ROLE + "node")
    [policy] = told["associatedAccessPolicies"]
    assert policy["policyArn"].endswith("/AmazonEKSAutoNodePolicy")
    with store.change() as clusters:
        clusters["demo"].api["status"] = "ACTIVE"
    refuse(eks.create_addon, "InvalidParameterException", "have it", clusterName="demo", addonName="coredns")
    change = {"computeConfig": {"enabled": False}}
    refuse(eks.update_cluster_config, "InvalidParameterException", "creation on, or never", name="demo", **change)


def test_auto_mode_without_pools_of_eks_lets_no_role_in(eks: Any, store: Store) -> None:
    eks.create_cluster(**AUTO | {"computeConfig": {"enabled": True}})
    assert store.cluster("demo").pools == {}
    assert eks.list_access_entries(clusterName="demo")["accessEntries"] == [USER]
    eks.create_cluster(**AUTO | {"name": "other", "computeConfig": AUTO["computeConfig"] | {"nodePools": ["system"]}})
    assert store.cluster("other").pools == {}
    assert len(store.cluster("other").entries) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"computeConfig": {"enabled": False}}, "either fully enabled or fully disabled"),
        ({"storageConfig": {}}, "either fully enabled or fully disabled"),
        ({"kubernetesNetworkConfig": {}}, "either fully enabled or fully disabled"),
        ({"bootstrapSelfManagedAddons": True}, "bootstrapSelfManagedAddons must be set to false"),
        ({"accessConfig": {"authenticationMode": "CONFIG_MAP"}}, "authenticationMode must be API"),
        ({"computeConfig": {"enabled": True, "nodePools": ["system"]}}, "nodeRoleArn is null or empty"),
        ({"computeConfig": {"enabled": True, "nodeRoleArn": ROLE + "node"}}, "nodePool value.s. must be provided"),
        ({"computeConfig": AUTO["computeConfig"] | {"nodePools": ["gpu"]}}, "nodePools: gpu"),
        ({"computeConfig": AUTO["computeConfig"] | {"nodeRoleArn": ROLE + "eks"}}, "could not be assumed"),
    ],
)
def test_what_auto_mode_cannot_be(eks: Any, change: dict[str, Any], message: str) -> None:
    refuse(eks.create_cluster, "InvalidParameterException", message, **AUTO | change)
    assert eks.list_clusters()["clusters"] == []


def test_eks_tells_of_all_minors_that_it_supports(eks: Any) -> None:
    told = {each["clusterVersion"]: each for each in eks.describe_cluster_versions(includeAll=True)["clusterVersions"]}
    assert list(told) == ["1.36", "1.35", "1.34", "1.33", "1.32"]
    ends = {minor: f"{each['endOfStandardSupportDate']:%Y-%m-%d}" for minor, each in told.items()}
    assert (ends["1.34"], ends["1.35"], ends["1.36"]) == ("2026-12-02", "2027-03-27", "2027-08-02")
    assert [minor for minor, each in told.items() if each["defaultVersion"]] == ["1.36"]
    [one] = eks.describe_cluster_versions(clusterVersions=["1.35"], includeAll=True)["clusterVersions"]
    assert one["clusterVersion"] == "1.35"
    assert len(eks.describe_cluster_versions(defaultOnly=True)["clusterVersions"]) == 1
