"""The IAM policies in docs/: one source with the doctor's check, and enough for every call of the verbs."""

import fnmatch
import json
import re
from collections.abc import Iterator
from types import SimpleNamespace

import boto3
import botocore.session
import pytest
from botocore import xform_name

from doctor import permissions
from doctor.permissions import STATEMENTS, concrete, policy
from tests import ROOT
from tests.support import golden_files
from twinplane.operate.leftovers import QUESTIONS
from twinplane.outputs import KINDS, Kind

#: botocore's name of a service, and of an operation -> IAM's, where they differ.
PREFIXES = {
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "s3control": "s3",
    "service-quotas": "servicequotas",
}
OPERATIONS = {"s3:GetPublicAccessBlock": "s3:GetAccountPublicAccessBlock"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_in_the_docs_is_this_one(kind: Kind) -> None:
    golden_files.check(str(ROOT / "docs" / f"policy-{kind}.json"), json.dumps(policy(kind), indent=2) + "\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_role_can_have_the_policy_inline(kind: Kind) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: white space does not count."""
    assert len(re.sub(r"\s", "", json.dumps(policy(kind)))) <= 10240


def allowed() -> list[str]:
    return [action for kind in KINDS for each in policy(kind)["Statement"] for action in each["Action"]]


def calls() -> Iterator[tuple[str, str]]:
    """Service and operation of every call that the verbs make. A client is named as its service."""
    for file in [file for folder in ("doctor", "twinplane") for file in (ROOT / folder).rglob("*.py")]:
        text = file.read_text()
        yield from re.findall(r'\b[Cc]all\(\s*"([\w-]+)", f?"(\w+)"', text)
        for service in re.findall(r'session\.client\("(\w+)"\)', text):
            made = re.findall(rf'(?:\b{service}|client\("{service}"\))\.(\w+)\(', text)
            yield from ((service, each) for each in made if each != "get_waiter")
    yield from ((service, operation) for service, operation, *_ in QUESTIONS.values())


def action(service: str, operation: str) -> str:
    """The action that a call needs."""
    model = botocore.session.get_session().get_service_model(service)
    [name] = [each for each in model.operation_names if xform_name(each) == operation]
    full = f"{PREFIXES.get(service, service)}:{name}"
    return OPERATIONS.get(full, full)


def test_every_call_of_the_verbs_is_allowed() -> None:
    found = {action(*call) for call in calls() if call[0] != "sts"}
    assert len(found) > 30
    assert {each for each in found if not any(fnmatch.fnmatchcase(each, one) for one in allowed())} == set()


@pytest.mark.parametrize("service", sorted({service for each in STATEMENTS for service in each.actions}))
def test_a_resource_is_of_the_service_that_its_actions_are_of(service: str) -> None:
    for each in STATEMENTS:
        if service in each.actions and service != "ec2-instance-connect":
            assert {one.split(":")[2] for one in each.resources if one != "*"} <= {service}


def test_a_resource_of_the_policy_becomes_one_of_the_stack() -> None:
    of = ("aws-cn", "cn-north-1", "123456789012", "mine-dev")
    assert concrete("*", *of) == "*"
    assert concrete("arn:aws:iam::*:role/PROJECT-*", *of) == "arn:aws-cn:iam::123456789012:role/mine-dev-a"
    assert concrete("arn:aws:s3:::PROJECT-*/*", *of) == "arn:aws-cn:s3:::mine-dev-a/a"
    assert (
        concrete("arn:aws:eks:*:*:addon/PROJECT-*/*/*", *of)
        == "arn:aws-cn:eks:cn-north-1:123456789012:addon/mine-dev-a/a/a"
    )


def test_the_simulator_is_told_what_the_conditions_ask_for() -> None:
    [ssh] = [each for each in STATEMENTS if each.sid == "Ssh"]
    entries = {each["ContextKeyName"]: each for each in permissions._context(ssh, "mine")}
    assert entries["aws:ResourceTag/Project"]["ContextKeyValues"] == ["mine"]
    assert entries["ec2-instance-connect:remotePort"]["ContextKeyType"] == "numeric"
    assert entries["aws:RequestTag/Project"]["ContextKeyValues"] == ["mine"]


def test_what_a_stack_does_not_have_is_not_asked_for() -> None:
    by_sid = {each.sid: each for each in STATEMENTS}
    hosts = SimpleNamespace(ingress_hosts=("a.test",), ingress_certificate=None)
    assert by_sid["Certificates"].needed(hosts)
    assert not by_sid["Certificates"].needed(SimpleNamespace(ingress_hosts=(), ingress_certificate=None))
    assert not by_sid["SshEndpoint"].needed(SimpleNamespace(ssh_via="cidrs"))


def test_the_services_are_those_of_botocore() -> None:
    names = {PREFIXES.get(each, each) for each in boto3.Session().get_available_services()}
    assert {service for each in STATEMENTS for service in each.actions} <= names
