"""parliament reads every IAM policy that the project makes, and the two in docs/. Part of `make lint`."""

import json
import re
import runpy
from collections.abc import Iterator, Mapping

import botocore.session
import parliament
import pulumi
import pytest

from doctor import permissions
from tests import ROOT
from tests.support.pulumi_mocks import PROJECT, Graph, run
from tests.support.stack_config import config
from twinplane.outputs import KINDS, Kind

pytestmark = pytest.mark.usefixtures("tunnels")

#: Finding -> why it is none. For the cluster: "Create a Kubernetes cluster on the AWS Cloud" in
#: https://docs.aws.amazon.com/eks/latest/userguide/security-iam-id-based-policy-examples.html
ACCEPTED = {
    "RESOURCE_STAR: ": "what AWS names by a number of its own cannot be named before it is made",
    "UNKNOWN_CONDITION_FOR_ACTION: .*elasticloadbalancing:CreateAction for ": "newer than parliament's list",
    "UNKNOWN_CONDITION_FOR_ACTION: .*-issuer-.*:(aud|sub) for ": "the issuer is the stack's own",
    "UNKNOWN_FEDERATION_SOURCE: .*-issuer-": "the issuer is the stack's own",
    "UNKNOWN_CONDITION_FOR_ACTION: .*kms:EncryptionContext:aws:logs:arn for .*:Describe": "as CloudWatch documents it",
    "MISMATCHED_TYPE: .*ArnEquals requires a value of type Arn but given String": "as CloudWatch documents it",
    r"RESOURCE_MISMATCH: \[{'action': 'ec2:CreateSecurityGroup', [^}]*}\] ": "network and group have a statement each",
    r"RESOURCE_MISMATCH: \[{'action': 'ssm:GetParameter', [^}]*}\] ": "AWS's public parameters are of no account",
    r"RESOURCE_MISMATCH: \[{'action': 'eks:CreateCluster', [^}]*}\] ": "EKS's own examples name the cluster",
}
#: Resource type -> the input that is a policy.
DOCUMENTS = {
    "aws:iam/role:Role": "assumeRolePolicy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:kms/key:Key": "policy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
}
#: What the mocks say -> what AWS says.
MOCKED = {"aws-test": "aws", "test.example": "amazonaws.com", "arn:test:iam::1:": "arn:aws:iam::123456789012:"}
#: Keys that bring policies which the stacks' own files do not have.
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "managed": {"flowLogDays": "7", "ingressHosts": '["app.example.com"]'},
    "managed-auto": {"nodeMode": "auto"},
    "self-managed": {"flowLogDays": "7", "ingressHosts": '["app.example.com"]', "podNetwork": "routed"},
}


def documents(graph: Graph) -> Iterator[tuple[str, str]]:
    """Name and text of each policy."""
    for resource in graph.resources:
        text = resource.inputs.get(DOCUMENTS.get(resource.type, ""))
        if text:
            for mocked, real in MOCKED.items():
                text = text.replace(mocked, real)
            yield resource.name, text


def findings(text: str) -> list[str]:
    """What parliament says. It knows no policies without resources, as those of who may take a role are."""
    policy = json.loads(text)
    for statement in policy["Statement"]:
        statement.setdefault("Resource", "*")
    analyzed = parliament.analyze_policy_string(json.dumps(policy)).findings
    lines = [f"{each.issue}: {each.detail} {each.location}" for each in analyzed]
    return [line for line in lines if not newer(line) and not any(re.match(each, line) for each in ACCEPTED)]


def newer(line: str) -> bool:
    """True for an action that parliament's list is too old for: AWS's SDK has it."""
    unknown = re.match(r"UNKNOWN_ACTION: Unknown action ([\w-]+):(\w+) ", line)
    service = unknown and {"elasticloadbalancing": "elbv2"}.get(unknown[1], unknown[1])
    return bool(unknown) and unknown[2] in botocore.session.get_session().get_service_model(service).operation_names


@pytest.mark.parametrize("stack", VARIANTS)
def test_the_policies_of_a_stack(stack: str) -> None:
    name, keys = stack.removesuffix("-auto"), {f"{PROJECT}:{key}": value for key, value in VARIANTS[stack].items()}

    def program() -> None:
        pulumi.runtime.set_all_config(config(name) | keys)
        runpy.run_path(str(ROOT / "__main__.py"))

    found = dict(documents(run(program, stack=name)))
    assert len(found) > 2
    assert {name: wrong for name, text in found.items() if (wrong := findings(text))} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_the_policies_in_the_docs(kind: Kind) -> None:
    assert findings(json.dumps(permissions.policy(kind))) == []


def test_parliament_finds_what_is_wrong() -> None:
    statement = {"Effect": "Allow", "Action": "ec2:CreateVpcAttribute", "Resource": "*"}
    [found] = findings(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert found.startswith("UNKNOWN_ACTION: ")
