"""What a cluster that is gone has left in AWS: all of it is found, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from kubernetes.client import ApiClient

from lab.cloud import api
from tests.support import aws_front
from tests.support.compare_cases import GOLDEN
from twinplane.errors import Failed
from twinplane.live.unanswered import Unanswered
from twinplane.operate import orphans
from twinplane.outputs import StackOutputs
from twinplane.questions import Access, Call

ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012"


@pytest.fixture
def outputs() -> StackOutputs:
    return StackOutputs.from_exports(json.loads((GOLDEN / "compare" / "managed.json").read_text())["outputs"])


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is told to the user, with AWS answering from this process."""

    def answer(_: Access, call: Any) -> Any:
        try:
            return getattr(api._client(call.service, api.credentials()), call.operation)(**call.parameters)
        except ClientError as error:
            raise Unanswered(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}") from None

    with aws_front.fresh(tmp_path, monkeypatch):
        monkeypatch.setattr(Access, "answer", answer)
        yield []


def network() -> tuple[str, str]:
    ec2 = api.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
    return vpc, ec2.create_subnet(VpcId=vpc, CidrBlock="198.18.1.0/24")["Subnet"]["SubnetId"]


def make(name: str, cluster: str, vpc: str, subnet: str) -> str:
    """What the controllers of a cluster make. Returns the security group of its Ingresses."""
    ec2, elb = api.client("ec2"), api._client("elbv2", api.credentials())
    tags = [{"Key": f"kubernetes.io/cluster/{cluster}", "Value": "owned"}]
    ours = [{"Key": "elbv2.k8s.aws/cluster", "Value": cluster}]
    said: Any = [{"ResourceType": "security-group", "Tags": ours}]
    made = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc, TagSpecifications=said)
    elb.create_load_balancer(Name=f"web-{name}", Type="application", Subnets=[subnet], Tags=ours)
    elb.create_target_group(Name=f"web-{name}", Protocol="HTTP", Port=80, VpcId=vpc, Tags=ours)
    balancer = elb.create_load_balancer(Name=name, Type="network", Subnets=[subnet], Tags=tags)["LoadBalancers"][0]
    group = elb.create_target_group(Name=name, Protocol="TCP", Port=80, VpcId=vpc, Tags=tags)["TargetGroups"][0]
    forward = [{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}]
    arn = balancer["LoadBalancerArn"]
    elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=80, DefaultActions=forward)
    return made["GroupId"]


def test_only_what_the_cluster_owned_is_deleted(outputs: StackOutputs, told: list[str]) -> None:
    """Not another cluster's in the same VPC, nor that of a cluster with the same name in another."""
    ec2, elb = api.client("ec2"), api._client("elbv2", api.credentials())
    vpc, subnet = network()
    group = make("a", outputs.cluster_name, vpc, subnet)
    make("b", "another", vpc, subnet)
    make("c", outputs.cluster_name, *network())
    machines = ec2.create_security_group(GroupName="machines", Description="m", VpcId=vpc)["GroupId"]
    rule: Any = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2}
    for source in (group, machines):
        pairs = [{"GroupId": source}]
        ec2.authorize_security_group_ingress(GroupId=machines, IpPermissions=[{**rule, "UserIdGroupPairs": pairs}])
    disk = ec2.create_volume(
        AvailabilityZone="us-east-1a",
        Size=3,
        TagSpecifications=[
            {
                "ResourceType": "volume",
                "Tags": [
                    {"Key": f"kubernetes.io/cluster/{outputs.cluster_name}", "Value": "owned"},
                    {"Key": "ebs.csi.aws.com/cluster", "Value": "true"},
                ],
            }
        ],
    )["VolumeId"]

    orphans.delete(replace(outputs, vpc_id=vpc), Access(outputs, ApiClient(), {}, told.append))

    left = {each["LoadBalancerName"] for each in elb.describe_load_balancers()["LoadBalancers"]}
    assert left == {"b", "web-b", "c", "web-c"}
    left = {each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]}
    assert left == {"b", "web-b", "c", "web-c"}
    groups = {each["GroupName"]: each for each in ec2.describe_security_groups()["SecurityGroups"]}
    assert groups.keys() >= {"b", "c", "machines"}
    assert "a" not in groups
    sources = [pair["GroupId"] for each in groups["machines"]["IpPermissions"] for pair in each["UserIdGroupPairs"]]
    assert sources == [machines], "the machines' own rule stays"
    assert [line for line in told if disk in line and "3 GiB" in line]


def test_what_a_living_cluster_has_stays(outputs: StackOutputs, told: list[str]) -> None:
    """Only what an earlier cluster of the same name left goes."""
    ec2, elb = api.client("ec2"), api._client("elbv2", api.credentials())
    vpc, subnet = network()
    make("old", outputs.cluster_name, vpc, subnet)
    make("new", outputs.cluster_name, vpc, subnet)
    groups = {each["GroupName"]: each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]}
    by_name = {each["LoadBalancerName"]: each for each in elb.describe_load_balancers()["LoadBalancers"]}
    elb.set_security_groups(LoadBalancerArn=by_name["web-new"]["LoadBalancerArn"], SecurityGroups=[groups["new"]])
    alive = {by_name[name]["DNSName"].lower() for name in ("new", "web-new")}

    orphans.delete(replace(outputs, vpc_id=vpc), Access(outputs, ApiClient(), {}, told.append), alive)

    assert {each["LoadBalancerName"] for each in elb.describe_load_balancers()["LoadBalancers"]} == {"new", "web-new"}
    assert "new" in {each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]}
    assert "old" not in {each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]}
    left = {each["GroupName"] for each in ec2.describe_security_groups()["SecurityGroups"]}
    assert "new" in left
    assert "old" not in left


class Asked:
    """AWS with one classic load balancer, whose security group is in use for as long as there are `refusals`."""

    def __init__(self, refusals: list[str]) -> None:
        self.refusals = refusals
        self.deleted: list[str] = []

    def answer(self, call: Call) -> Any:
        match call.service, call.operation:
            case "resourcegroupstaggingapi", _:
                names = {"kubernetes.io": ["old"]}.get(call.parameters["TagFilters"][0]["Key"].split("/")[0], [])
                return {"ResourceTagMappingList": [{"ResourceARN": f"{ARN}:loadbalancer/{name}"} for name in names]}
            case "elb", "describe_load_balancers":
                named = {"old": "vpc-1", "other": "vpc-1", "elsewhere": "vpc-2"}
                found = [{"LoadBalancerName": name, "VPCId": vpc} for name, vpc in named.items()]
                return {"LoadBalancerDescriptions": found}
            case "ec2", "describe_security_groups":
                mine = any("kubernetes.io" in each["Name"] for each in call.parameters["Filters"])
                names = ["k8s-elb-old", "machines"] if mine else []
                return {"SecurityGroups": [{"GroupId": f"sg-{name}", "GroupName": name} for name in names]}
            case "ec2", "delete_security_group" if self.refusals:
                raise Unanswered(self.refusals.pop())
            case _, operation if operation.startswith("delete_"):
                self.deleted += call.parameters.values()
        return {"LoadBalancers": [], "TargetGroups": [], "Volumes": []}


def left_by(asked: Asked, outputs: StackOutputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Access, "answer", lambda _, call: asked.answer(call))
    monkeypatch.setattr(orphans, "PAUSE", 0)
    orphans.delete(outputs, Access(outputs, ApiClient(), {}, lambda _: None))


def test_classic_load_balancers_and_their_groups(outputs: StackOutputs, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(["DependencyViolation: resource sg-k8s-elb-old has a dependent object"] * 3)
    left_by(asked, outputs, monkeypatch)
    assert asked.deleted == ["old", "sg-k8s-elb-old"], "a group is tried again while its load balancer goes"


def test_what_cannot_be_deleted_is_said(outputs: StackOutputs, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failed, match=r"what a cluster tp-.* that is gone has left: UnauthorizedOperation: no"):
        left_by(Asked(["UnauthorizedOperation: no"]), outputs, monkeypatch)
    monkeypatch.setattr(orphans, "WAIT", 0)
    with pytest.raises(Failed, match="DependencyViolation"):
        left_by(Asked(["DependencyViolation: x"] * 9), outputs, monkeypatch)
