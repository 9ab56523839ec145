"""Every guard has an input that breaks it, the same input mended, and a message that says what to change."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi_policy import EnforcementLevel
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.config import mistakes
from policies.guards import GUARDS, RULES, TAGGED, Rule
from policies.openings import ingress_of_a_guarded_class

OURS = {"Project": "twinplane", "Stack": "test", "ManagedBy": "pulumi"}
SPECIFICATIONS = [{"resourceType": each, "tags": OURS} for each in ("instance", "volume", "network-interface")]
#: Tags of what a machine brings, as an instance and as a launch template take them.
BROUGHT = {"rootBlockDevice": {"tags": OURS}, "tagSpecifications": SPECIFICATIONS}
INSTANCE = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
CLUSTER = "aws:eks/cluster:Cluster"

POLICY = "aws:s3/bucketPolicy:BucketPolicy"
DOCUMENTS = ("/.well-known/openid-configuration", "/openid/v1/jwks")


def anyone(action: str, *objects: str, principal: str = "*") -> dict[str, Any]:
    """A bucket's policy that lets somebody in, and one that denies to all what is not TLS."""
    resources = [f"arn:aws:s3:::b{each}" for each in objects]
    allowed = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": resources}
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": [allowed, denied]})}


#: rule, resource type, inputs that break it, what mends them, a word of the message
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    (
        "no_world_open_access",
        RULE,
        {"type": "ingress", "protocol": "tcp", "fromPort": 22, "toPort": 22, "cidrBlocks": ["0.0.0.0/0"]},
        {"cidrBlocks": ["192.0.2.0/24"]},
        "sshCidrs",
    ),
    (
        "no_world_open_access",
        RULE,
        {"type": "ingress", "protocol": "-1", "fromPort": 0, "toPort": 0, "ipv6CidrBlocks": ["::/0"]},
        {"type": "egress"},
        "open to the world",
    ),
    (
        "no_world_open_access",
        INGRESS,
        {"ipProtocol": "tcp", "fromPort": 6000, "toPort": 7000, "cidrIpv4": "0.0.0.0/0"},
        {"cidrIpv4": "192.0.2.0/24"},
        "port 6443",
    ),
    (
        "no_world_open_access",
        RULE,
        {
            "type": "ingress",
            "protocol": "tcp",
            "fromPort": 22,
            "toPort": 22,
            "cidrBlocks": ["0.0.0.0/1", "128.0.0.0/1"],
        },
        {"cidrBlocks": ["10.0.0.0/8"]},
        "open to the world",
    ),
    (
        "no_world_open_access",
        INGRESS,
        {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv6": "2000::/3"},
        {"cidrIpv6": "2001:db8::/32"},
        "open to the world",
    ),
    (
        "no_world_open_access",
        GROUP,
        {"ingress": [{"protocol": "tcp", "fromPort": 6443, "toPort": 6443, "cidrBlocks": ["0.0.0.0/0"]}]},
        {"ingress": [{"protocol": "tcp", "fromPort": 443, "toPort": 443, "cidrBlocks": ["0.0.0.0/0"]}]},
        "apiCidrs",
    ),
    (
        "no_world_open_access",
        CLUSTER,
        {"vpcConfig": {"endpointPublicAccess": True}},
        {"vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["192.0.2.1/32"]}},
        "publicAccessCidrs",
    ),
    (
        "no_world_open_access",
        CLUSTER,
        {"vpcConfig": {"publicAccessCidrs": ["192.0.2.1/32", "128.0.0.0/1"]}},
        {"vpcConfig": {"endpointPublicAccess": False}},
        "publicAccessCidrs",
    ),
    (
        "no_world_open_access",
        "kubernetes:core/v1:Service",
        {"spec": {"type": "LoadBalancer"}},
        {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]}},
        "appCidrs",
    ),
    ("imdsv2_only", INSTANCE, {}, {"metadataOptions": {"httpTokens": "required"}}, "httpTokens"),
    (
        "imdsv2_only",
        TEMPLATE,
        {"metadataOptions": {"httpTokens": "optional"}},
        {"metadataOptions": {"httpTokens": "required"}},
        "IMDSv1",
    ),
    ("encrypted_at_rest", INSTANCE, {}, {"rootBlockDevice": {"encrypted": True}}, "rootBlockDevice"),
    (
        "encrypted_at_rest",
        INSTANCE,
        {"rootBlockDevice": {"encrypted": True}, "ebsBlockDevices": [{"volumeSize": 8}]},
        {"ebsBlockDevices": [{"encrypted": True}]},
        "ebsBlockDevice",
    ),
    (
        "encrypted_at_rest",
        TEMPLATE,
        {"blockDeviceMappings": [{"ebs": {"volumeSize": 20}}]},
        {"blockDeviceMappings": [{"ebs": {"encrypted": "true"}}]},
        "blockDeviceMapping",
    ),
    ("encrypted_at_rest", "aws:ebs/volume:Volume", {}, {"encrypted": True}, "set encrypted"),
    ("encrypted_at_rest", CLUSTER, {}, {"encryptionConfig": {"resources": ["secrets"]}}, "encryptionConfig"),
    (
        "encrypted_at_rest",
        "aws:ecr/repository:Repository",
        {"encryptionConfigurations": [{"encryptionType": "AES256"}]},
        {"encryptionConfigurations": [{"encryptionType": "KMS"}]},
        "KMS",
    ),
    ("tagged", INSTANCE, {"tags": {"Name": "a"}}, {"tags": OURS, **BROUGHT}, "components/base/tags.py"),
    ("tagged", "aws:ec2/vpc:Vpc", {"tags": {**OURS, "Stack": ""}}, {"tags": OURS}, "missing: Stack"),
    ("tagged", CLUSTER, {}, {"tags": OURS}, "missing: Project, Stack, ManagedBy"),
    *[("tagged", kind, {"tags": None}, {"tags": OURS, **BROUGHT}, "tags missing") for kind in sorted(TAGGED)],
    ("tagged", INSTANCE, {"tags": OURS}, {"rootBlockDevice": {"tags": OURS}}, "its volume"),
    ("tagged", INSTANCE, {"tags": OURS, "volumeTags": {"Name": "a"}}, {"volumeTags": OURS}, "its volume"),
    *[
        (
            "tagged",
            TEMPLATE,
            {"tags": OURS, "tagSpecifications": [each for each in SPECIFICATIONS if each["resourceType"] != what]},
            BROUGHT,
            f"its {what}",
        )
        for what in ("instance", "volume", "network-interface")
    ],
    ("standard_support_only", CLUSTER, {}, {"upgradePolicy": {"supportType": "STANDARD"}}, "STANDARD"),
    (
        "no_public_buckets",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        {"blockPublicAcls": True},
        {"ignorePublicAcls": True},
        "access lists",
    ),
    ("no_public_buckets", POLICY, anyone("s3:GetObject", "/*"), anyone("s3:GetObject", *DOCUMENTS), "two documents"),
    ("no_public_buckets", POLICY, anyone("s3:*", *DOCUMENTS), anyone("s3:*", principal="arn:aws:iam::1:root"), "lets"),
    ("private_machines", INSTANCE, {"associatePublicIpAddress": True}, {"associatePublicIpAddress": False}, "private"),
    (
        "no_public_nodes",
        "aws:ec2/subnet:Subnet",
        {"mapPublicIpOnLaunch": True},
        {"mapPublicIpOnLaunch": False},
        "leave",
    ),
    (
        "no_public_nodes",
        TEMPLATE,
        {"networkInterfaces": [{"associatePublicIpAddress": "true"}]},
        {"networkInterfaces": []},
        "launch template",
    ),
]

WORLD = ["0.0.0.0/0"]
SSH = {"fromPort": 22, "toPort": 22}
NAMED = {"cidrBlocks": ["192.0.2.0/24"]}
NOBODY = {"associatePublicIpAddress": False}
PULLED_BY_A_ROLE = anyone("ecr:BatchGetImage", principal="arn:aws:iam::1:role/nodes")["policy"]
INGRESS_OF_RULE = {"type": "ingress", "cidrBlocks": WORLD}
PUBLIC_ADDRESS = {"associatePublicIpAddress": True}
CLASS = "kubernetes:networking.k8s.io/v1:IngressClass"
STORAGE_CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
REPOSITORY = "aws:ecr/repository:Repository"
REPOSITORY_TEMPLATE = "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate"
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
#: The same, for each spelling that the provider takes, and for each type that does the same.
CASES += [
    *[
        ("no_world_open_access", RULE, {**INGRESS_OF_RULE, "protocol": protocol, **ports}, NAMED, "port 22")
        for protocol, ports in [
            ("all", {"fromPort": 0, "toPort": 0}),
            ("All", {"fromPort": 0, "toPort": 0}),
            ("-1", {"fromPort": 443, "toPort": 443}),
            (-1, {"fromPort": 0, "toPort": 0}),
            (-1.0, {}),
            ("6", SSH),
            (6, SSH),
            ("TCP", SSH),
            ("tcp", {"fromPort": -1, "toPort": -1}),
            ("tcp", {"fromPort": 0, "toPort": 65535}),
        ]
    ],
    *[
        ("no_world_open_access", INGRESS, {"ipProtocol": protocol, cidr: world}, {cidr: named}, "port 6443")
        for protocol in ("-1", "all")
        for cidr, world, named in [("cidrIpv4", "0.0.0.0/0", "192.0.2.0/24"), ("cidrIpv6", "::/0", "2001:db8::/32")]
    ],
    *[
        (
            "no_world_open_access",
            kind,
            {"ingress": [{"protocol": protocol, "fromPort": 0, "toPort": 0, "cidrBlocks": ["::/0", "0.0.0.0/0"]}]},
            {"ingress": [{"protocol": protocol, "fromPort": 0, "toPort": 0, "self": True}]},
            "open to the world",
        )
        for kind in (GROUP, "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
        for protocol in ("-1", "all")
    ],
    (
        "no_world_open_access",
        "aws:ec2/managedPrefixList:ManagedPrefixList",
        {"entries": [{"cidr": "192.0.2.0/24"}, {"cidr": "0.0.0.0/0"}]},
        {"entries": [{"cidr": "192.0.2.0/24"}]},
        "prefix list",
    ),
    (
        "no_world_open_access",
        "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry",
        {"cidr": "::/0"},
        {"cidr": "2001:db8::/32"},
        "prefix list",
    ),
    (
        "no_world_open_access",
        "aws:eks/nodeGroup:NodeGroup",
        {"remoteAccess": {"ec2SshKey": "mine"}},
        {"remoteAccess": {"ec2SshKey": "mine", "sourceSecurityGroupIds": ["sg-1"]}},
        "sourceSecurityGroupIds",
    ),
    (
        "no_world_open_access",
        "kubernetes:core/v1:ServicePatch",
        {"spec": {"type": "LoadBalancer"}},
        {"metadata": {"annotations": {"service.beta.kubernetes.io/load-balancer-source-ranges": "192.0.2.0/24"}}},
        "appCidrs",
    ),
    *[
        (
            "no_world_open_access",
            f"kubernetes:{group}:IngressClassParams",
            {"spec": {"scheme": "internet-facing"}},
            {"spec": spec},
            "inboundCIDRs",
        )
        for group in ("elbv2.k8s.aws/v1beta1", "eks.amazonaws.com/v1")
        for spec in ({"inboundCIDRs": ["192.0.2.0/24"]}, {"prefixListsIDs": ["pl-1"]})
    ],
    *[
        (
            "no_world_open_access",
            CLASS,
            {"spec": {"controller": controller}},
            {"spec": {"controller": controller, "parameters": {"kind": "IngressClassParams", "name": "alb"}}},
            "inboundCIDRs",
        )
        for controller in ("ingress.k8s.aws/alb", "eks.amazonaws.com/alb")
    ],
    *[
        ("imdsv2_only", kind, {}, {"metadataOptions": {"httpTokens": "required"}}, "httpTokens")
        for kind in (
            "aws:ec2/spotInstanceRequest:SpotInstanceRequest",
            "aws:ec2/launchConfiguration:LaunchConfiguration",
        )
    ],
    *[
        ("encrypted_at_rest", kind, {}, {"rootBlockDevice": {"encrypted": True}}, "rootBlockDevice")
        for kind in (
            "aws:ec2/spotInstanceRequest:SpotInstanceRequest",
            "aws:ec2/launchConfiguration:LaunchConfiguration",
        )
    ],
    (
        "encrypted_at_rest",
        "aws:eks/nodeGroup:NodeGroup",
        {"amiType": "AL2023_x86_64_STANDARD"},
        {"launchTemplate": {"id": "lt-1", "version": "1"}},
        "launchTemplate",
    ),
    ("encrypted_at_rest", "aws:ebs/snapshotCopy:SnapshotCopy", {"encrypted": "false"}, {"encrypted": "true"}, "set"),
    *[
        (
            "encrypted_at_rest",
            STORAGE_CLASS,
            {"provisioner": provisioner, "parameters": {"type": "gp3"}},
            {"parameters": {"type": "gp3", "encrypted": "true"}},
            "parameters.encrypted",
        )
        for provisioner in ("ebs.csi.aws.com", "ebs.csi.eks.amazonaws.com", "kubernetes.io/aws-ebs")
    ],
    *[
        ("encrypted_at_rest", kind, {}, {"encryptionConfigurations": [{"encryptionType": "KMS_DSSE"}]}, "KMS")
        for kind in (REPOSITORY, REPOSITORY_TEMPLATE)
    ],
    (
        "no_public_nodes",
        "aws:ec2/defaultSubnet:DefaultSubnet",
        {"availabilityZone": "us-east-1a"},
        {"mapPublicIpOnLaunch": False},
        "mapPublicIpOnLaunch",
    ),
    ("no_public_nodes", "aws:ec2/launchConfiguration:LaunchConfiguration", PUBLIC_ADDRESS, NOBODY, "public"),
    *[
        (
            "no_public_nodes",
            TEMPLATE,
            {"networkInterfaces": [{"associatePublicIpAddress": spelling}]},
            {"networkInterfaces": [{"associatePublicIpAddress": "false"}]},
            "public",
        )
        for spelling in (True, "True", "1")
    ],
    ("private_machines", "aws:ec2/spotInstanceRequest:SpotInstanceRequest", PUBLIC_ADDRESS, NOBODY, "public"),
    *[
        ("no_public_buckets", kind, {"acl": acl}, {"acl": "private"}, "access list")
        for kind in ("aws:s3/bucket:Bucket", "aws:s3/bucketAcl:BucketAcl", "aws:s3/bucketObject:BucketObject")
        for acl in ("public-read", "public-read-write", "authenticated-read")
    ],
    (
        "no_public_buckets",
        "aws:s3/accountPublicAccessBlock:AccountPublicAccessBlock",
        {},
        {"blockPublicAcls": True, "ignorePublicAcls": True},
        "access lists",
    ),
    (
        "no_public_buckets",
        "aws:s3/bucket:Bucket",
        {"grants": [{"uri": ALL_USERS, "permissions": ["READ"]}]},
        {"grants": [{"id": "1", "permissions": ["READ"]}]},
        "a grant",
    ),
    (
        "no_public_buckets",
        "aws:s3/bucketAcl:BucketAcl",
        {"accessControlPolicy": {"grants": [{"grantee": {"uri": ALL_USERS}}]}},
        {"accessControlPolicy": {"grants": [{"grantee": {"id": "1"}}]}},
        "a grant",
    ),
    ("no_public_buckets", "aws:s3/bucket:Bucket", anyone("s3:GetObject", "/*"), {"policy": None}, "lets anyone in"),
    (
        "no_public_buckets",
        POLICY,
        {"policy": json.loads(anyone("s3:GetObject", "/*")["policy"])},
        {"policy": json.loads(anyone("s3:GetObject", *DOCUMENTS)["policy"])},
        "lets anyone in",
    ),
    *[
        ("no_public_images", kind, {key: anyone("ecr:BatchGetImage")["policy"]}, {key: PULLED_BY_A_ROLE}, "anyone")
        for kind, key in [
            ("aws:ecr/repositoryPolicy:RepositoryPolicy", "policy"),
            ("aws:ecr/registryPolicy:RegistryPolicy", "policy"),
            (REPOSITORY_TEMPLATE, "repositoryPolicy"),
        ]
    ],
    *[
        ("immutable_tags", kind, {"imageTagMutability": value}, {"imageTagMutability": "IMMUTABLE"}, "IMMUTABLE")
        for kind in (REPOSITORY, REPOSITORY_TEMPLATE)
        for value in (None, "MUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION")
    ],
]


def _rule(name: str) -> Rule:
    return next(rule for rule in RULES if rule.__name__ == name)


@pytest.mark.parametrize(("name", "kind", "broken", "mended", "word"), CASES)
def test_broken_then_mended(
    name: str, kind: str, broken: Mapping[str, Any], mended: Mapping[str, Any], word: str
) -> None:
    assert any(word in sentence for sentence in _rule(name)(kind, broken))
    assert list(_rule(name)(kind, {**broken, **mended})) == []


@pytest.mark.parametrize(
    "who",
    [
        {"Principal": "*"},
        {"Principal": ["*"]},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": ["arn:aws:iam::1:root", "*"]}},
        {"NotPrincipal": {"AWS": "arn:aws:iam::1:root"}},
    ],
)
def test_anyone_has_many_spellings(who: dict[str, Any]) -> None:
    for what in ({"Resource": "arn:aws:s3:::b/*"}, {"NotResource": "arn:aws:s3:::b/secret"}, {"Resource": []}):
        statement = {"Effect": "Allow", "Action": "s3:GetObject", **who, **what}
        assert list(_rule("no_public_buckets")(POLICY, {"policy": json.dumps({"Statement": statement})}))


@pytest.mark.parametrize(
    "who", [{"AWS": ["arn:aws:iam::1:root", "arn:aws:iam::2:root"]}, {"Service": "logging.s3.amazonaws.com"}]
)
def test_who_is_named_gets_what_is_said(who: dict[str, Any]) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Principal": who, "NotResource": "arn:aws:s3:::b/secret"}
    assert list(_rule("no_public_buckets")(POLICY, {"policy": json.dumps({"Statement": statement})})) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_is_in_the_pack_and_has_a_case(rule: Rule) -> None:
    assert rule.__name__.replace("_", "-") in {guard.name for guard in GUARDS}
    assert rule.__name__ in {case[0] for case in CASES}


def test_what_breaks_a_rule_is_refused() -> None:
    assert {guard.enforcement_level for guard in GUARDS} == {EnforcementLevel.MANDATORY}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_other_resources_are_left_alone(rule: Rule) -> None:
    assert list(rule("random:index/id:Id", {})) == []


def test_a_preview_checks_what_it_knows() -> None:
    rule = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "0.0.0.0/0"}
    inputs = unknown_checking_proxy({**rule, "securityGroupId": UNKNOWN_STRING_VALUE})
    assert list(_rule("no_world_open_access")(INGRESS, inputs))


@pytest.mark.parametrize("kind", ["aws:ec2/eip:Eip", "aws:ec2/eipAssociation:EipAssociation"])
def test_an_elastic_ip_makes_a_machine_public(kind: str) -> None:
    key = "instance" if kind.endswith(":Eip") else "instanceId"
    assert list(_rule("private_machines")(kind, unknown_checking_proxy({key: UNKNOWN_STRING_VALUE})))
    assert list(_rule("private_machines")(kind, {"networkInterfaceId": "eni-1"})) == []


def test_the_public_registry_is_for_the_public() -> None:
    assert list(_rule("no_public_images")("aws:ecrpublic/repository:Repository", {}))


def ingress(annotations: dict[str, str], of: str | None) -> tuple[str, str, dict[str, Any]]:
    spec = {"ingressClassName": of} if of else {}
    return "i", "kubernetes:networking.k8s.io/v1:Ingress", {"metadata": {"annotations": annotations}, "spec": spec}


@pytest.mark.parametrize(
    ("annotations", "of"),
    [
        ({}, "alb"),
        ({"kubernetes.io/ingress.class": "alb"}, None),
        ({"alb.ingress.kubernetes.io/scheme": "internet-facing"}, None),
        ({"alb.ingress.kubernetes.io/target-type": "ip"}, "other"),
    ],
)
def test_an_ingress_says_who_reaches_it_or_its_class_does(annotations: dict[str, str], of: str | None) -> None:
    alone = ingress(annotations, of)
    assert "inbound-cidrs" in next(iter(ingress_of_a_guarded_class([alone])))
    named = ingress({**annotations, "alb.ingress.kubernetes.io/inbound-cidrs": "192.0.2.0/24"}, of)
    assert list(ingress_of_a_guarded_class([named])) == []
    if of:
        known: tuple[str, str, dict[str, Any]] = ("c", CLASS, {"metadata": {"name": of}})
        assert list(ingress_of_a_guarded_class([known, alone])) == []


def test_an_ingress_of_another_controller_is_left_alone() -> None:
    assert list(ingress_of_a_guarded_class([ingress({}, "nginx")])) == []


class Entry:
    """An entry of the pack's config, as the engine sends it."""

    def __init__(self, **properties: Any) -> None:
        self.properties = properties


def test_a_config_that_would_do_nothing_is_a_mistake() -> None:
    names = [guard.name for guard in GUARDS]
    assert list(mistakes({"private-machines": Entry(), "all": Entry()}, names)) == []
    [misspelt] = mistakes({"private-machine": Entry()}, names)
    assert misspelt == "private-machine: no such guard; did you mean private-machines?"
    [unknown] = mistakes({"zzz": Entry()}, names)
    assert "known: no-world-open-access, " in unknown
    [setting] = mistakes({"private-machines": Entry(enforcment="advisory")}, names)
    assert "enforcment" in setting
