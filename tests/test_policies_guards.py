"""Every guard has an input that breaks it, the same input mended, and a message that says what to change."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi_policy import EnforcementLevel
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.guards import GUARDS, RULES, Rule

OURS = {"Project": "twinplane", "Stack": "test", "ManagedBy": "pulumi"}
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
    ("tagged", INSTANCE, {"tags": {"Name": "a"}}, {"tags": OURS}, "components/tags.py"),
    ("tagged", "aws:ec2/vpc:Vpc", {"tags": {**OURS, "Stack": ""}}, {"tags": OURS}, "missing: Stack"),
    ("tagged", CLUSTER, {}, {"tags": OURS}, "missing: Project, Stack, ManagedBy"),
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
