"""What AWS still has after a destroy is named; what its tags outlived is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from kubernetes.client import ApiClient

from lab.cloud import api
from tests import aws_front
from tests.compare_cases import GOLDEN
from twinplane.errors import Failed
from twinplane.live.unanswered import Unanswered
from twinplane.operate import leftovers
from twinplane.outputs import StackOutputs
from twinplane.questions import Access, Call

TAGS = [{"Key": "Project", "Value": "p"}, {"Key": "Stack", "Value": "s"}]


@pytest.fixture
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Access]:
    """AWS answers from this process."""

    def answer(_: Access, call: Call) -> Any:
        client = api._client(call.service, api.credentials())  # type: ignore[arg-type]
        try:
            return getattr(client, call.operation)(**call.parameters)
        except ClientError as error:
            raise Unanswered(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}") from None

    outputs = StackOutputs.from_exports(json.loads((GOLDEN / "compare" / "managed.json").read_text())["outputs"])
    with aws_front.fresh(tmp_path, monkeypatch):
        monkeypatch.setattr(Access, "answer", answer)
        yield Access(outputs, ApiClient(), {}, lambda _: None)


def specified(kind: str, tags: list[dict[str, str]] = TAGS) -> Any:
    return [{"ResourceType": kind, "Tags": tags}]


def test_what_is_left_is_named_and_what_has_ended_is_not(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2, kms, logs = (api._client(name, api.credentials()) for name in ("ec2", "kms", "logs"))  # type: ignore[arg-type]
    leftovers.check("p", "s", "c", access)
    vpc = ec2.create_vpc(CidrBlock="198.18.0.0/18", TagSpecifications=specified("vpc"))["Vpc"]["VpcId"]
    disk = ec2.create_volume(
        AvailabilityZone="us-east-1a",
        Size=1,
        TagSpecifications=specified("volume", [{"Key": "kubernetes.io/cluster/c", "Value": "owned"}]),
    )["VolumeId"]
    key = kms.create_key(Tags=[{"TagKey": each["Key"], "TagValue": each["Value"]} for each in TAGS])["KeyMetadata"]
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    logs.create_log_group(logGroupName="/other", tags={"Project": "p", "Stack": "another"})
    ended = [
        f"arn:aws:{path}"
        for path in (
            "ec2:us-east-1:1:subnet/subnet-0123456789abcdef0",
            "ec2:us-east-1:1:instance/i-0123456789abcdef0",
            "ec2:us-east-1:1:natgateway/nat-0123456789abcdef0",
            "ec2:us-east-1:1:security-group/sg-0123456789abcdef0",
            "elasticloadbalancing:us-east-1:1:loadbalancer/app/x/0123456789abcdef",
            "elasticloadbalancing:us-east-1:1:targetgroup/x/0123456789abcdef",
            "elasticloadbalancing:us-east-1:1:loadbalancer/classic",
            "eks:us-east-1:1:cluster/c",
            "eks:us-east-1:1:nodegroup/c/n/0123",
            "logs:us-east-1:1:log-group:/aws/eks/c/cluster:*",
            "ecr:us-east-1:1:repository/c/app",
            "iam::1:role/c-role",
            "s3:::no-such-bucket",
        )
    ]
    listed = leftovers.tagged("p", "s", "c", access)
    monkeypatch.setattr(leftovers, "tagged", lambda *_: {*listed, *ended})
    with pytest.raises(Failed) as left:
        leftovers.check("p", "s", "c", access)
    assert str(left.value).startswith("s: destroyed, but 2 things with its tags are left, delete them: ")
    assert {arn.rsplit("/", 1)[-1] for arn in str(left.value).split(": ", 2)[2].split(", ")} == {vpc, disk}
    ec2.delete_vpc(VpcId=vpc)
    ec2.delete_volume(VolumeId=disk)
    leftovers.check("p", "s", "c", access)


@pytest.mark.parametrize("arn", ["arn:aws:sqs:us-east-1:1:queue", "arn:aws:ec2:us-east-1:1:vpc/vpc-1"])
def test_what_cannot_be_asked_for_counts(access: Access, monkeypatch: pytest.MonkeyPatch, arn: str) -> None:
    def answer(_: Access, __: Call) -> Any:
        raise Unanswered("UnauthorizedOperation: no")

    monkeypatch.setattr(Access, "answer", answer)
    assert leftovers.exists(arn, access)
    with pytest.raises(Failed, match="s: destroyed; whether AWS has something left, it does not say: Unauthorized"):
        leftovers.check("p", "s", "c", access)


@pytest.mark.usefixtures("access")
def test_every_question_is_one_that_botocore_knows() -> None:
    for kind, (service, operation, parameter, _) in leftovers.QUESTIONS.items():
        client = api._client(service, api.credentials())  # type: ignore[arg-type]
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
        assert parameter in shape.members, kind
        assert (shape.members[parameter].type_name == "list") == parameter.endswith("s"), kind


class Writer:
    """A log group that comes back so many times."""

    def __init__(self, times: int) -> None:
        self.times, self.there, self.now = times, True, 0.0

    def answer(self, call: Call) -> Any:
        if call.operation == "delete_log_group":
            assert call.parameters == {"logGroupName": "/aws/eks/c/cluster"}
            self.there = False
        name = "/aws/eks/c/cluster"
        return {"logGroups": [{"logGroupName": f"{name}-2"}, *([{"logGroupName": name}] if self.there else [])]}

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.times and not self.there and self.now % 30 == 0:
            self.times, self.there = self.times - 1, True


@pytest.mark.parametrize("times", [0, 1, 4, 1000])
def test_the_log_group_is_deleted_until_it_stays_away(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    writer = Writer(times)
    monkeypatch.setattr(Access, "answer", lambda _, call: writer.answer(call))
    monkeypatch.setattr(leftovers.time, "monotonic", lambda: writer.now)
    monkeypatch.setattr(leftovers.time, "sleep", writer.sleep)
    outputs = StackOutputs.from_exports(json.loads((GOLDEN / "compare" / "managed.json").read_text())["outputs"])
    access = Access(outputs, ApiClient(), {}, lambda _: None)
    if times == 1000:
        with pytest.raises(Failed, match="/aws/eks/c/cluster: EKS makes it again"):
            leftovers.end_logs("c", access)
        return
    leftovers.end_logs("c", access)
    assert not writer.there
    assert writer.times == 0
