"""Destroy forgets what is in a cluster only where AWS says that the cluster is gone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from lab.aws import api
from stacks.outputs import StackOutputs
from tests import aws_front
from tests.compare_cases import GOLDEN
from twinplane.compare.questions import Access, Unanswered
from twinplane.errors import UsageError
from twinplane.operate import destroy as module
from twinplane.stack import Stack

NOT_FOUND = Unanswered("ResourceNotFoundException: No cluster found for name: tp-eks.")
LEFT = {
    "ResourceTagMappingList": [
        {"ResourceARN": "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/k8s/1"},
        {"ResourceARN": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/a/2"},
    ]
}
NO_ANSWER = Unanswered("Could not connect to the endpoint URL")


def reservation(*ids: str) -> dict[str, Any]:
    each = {
        "InstanceType": "t3.medium",
        "ImageId": "ami-1",
        "LaunchTime": "2026-11-24T00:00:00+00:00",
        "State": {"Name": "running"},
    }
    return {"Reservations": [{"Instances": [{"InstanceId": one, **each} for one in ids]}]}


@pytest.fixture
def outputs() -> dict[str, StackOutputs]:
    def read(kind: str) -> StackOutputs:
        return StackOutputs.from_exports(json.loads((GOLDEN / "compare" / f"{kind}.json").read_text())["outputs"])

    return {kind: read(kind) for kind in ("managed", "self-managed")}


def forgets(
    monkeypatch: pytest.MonkeyPatch, found: StackOutputs | Exception, answer: Any, deleted: list[str] | None = None
) -> bool:
    """-> whether the destroy of a stack with these outputs may forget, when AWS answers `answer`. What is deleted
    besides is added to `deleted`."""
    seen: list[Stack] = []

    def say_to(_: Access, question: Any) -> Any:
        operation = getattr(question, "operation", "")
        if operation == "get_resources":
            assert not seen, "the network cannot go before them"
            return LEFT
        if operation == "describe_security_groups":
            return {"SecurityGroups": [{"GroupId": "sg-1"}]}
        if operation == "delete_security_group":
            raise Unanswered("DependencyViolation: resource sg-1 has a dependent object")
        if operation.startswith("delete_"):
            (arn,) = question.parameters.values()
            if deleted is not None:
                deleted.append(arn)
            return {}
        return say(answer)

    def say(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(Stack, "outputs", lambda _: say(found))
    monkeypatch.setattr(Stack, "destroy", lambda stack, _: seen.append(stack))
    monkeypatch.setattr(Access, "answer", say_to)
    module.destroy(Stack("some", {"PATH": "/bin"}), lambda _: None)
    (stack,) = seen
    assert stack.name == "some"
    assert stack.environment["PATH"] == "/bin"
    return stack.environment.get("PULUMI_K8S_DELETE_UNREACHABLE") == "true"


def test_managed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]) -> None:
    alive = {"cluster": {"name": "tp-eks", "status": "ACTIVE", "version": "1.36"}}
    assert forgets(monkeypatch, outputs["managed"], NOT_FOUND)
    assert not forgets(monkeypatch, outputs["managed"], alive)
    assert not forgets(monkeypatch, outputs["managed"], NO_ANSWER)


def test_self_managed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]) -> None:
    machines = outputs["self-managed"].machines
    workers = [each.instance_id for each in machines if each.role == "worker"]
    assert workers
    assert forgets(monkeypatch, outputs["self-managed"], reservation())
    assert forgets(monkeypatch, outputs["self-managed"], reservation("i-other", *workers))
    assert not forgets(monkeypatch, outputs["self-managed"], reservation(*(each.instance_id for each in machines)))
    assert not forgets(monkeypatch, outputs["self-managed"], NO_ANSWER)


def test_without_an_aws_cli_a_living_cluster_is_left_whole(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    found = outputs["self-managed"]
    tunnelled = replace(found, machines=tuple(replace(each, ssh_tunnel="eu-west-1") for each in found.machines))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="install version 2"):
        forgets(monkeypatch, tunnelled, NO_ANSWER)
    assert forgets(monkeypatch, tunnelled, reservation())  # no machine is left to be reset


def test_load_balancers_of_services_do_not_outlive_a_cluster_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    deleted: list[str] = []
    assert forgets(monkeypatch, outputs["managed"], NOT_FOUND, deleted)
    balancer, group = "loadbalancer/net/a/2", "targetgroup/k8s/1"
    # Of Services, and of Ingresses; a security group that is in use yet stops nobody.
    assert [arn.partition("123456789012:")[2] for arn in deleted] == [balancer, balancer, group, group]
    deleted.clear()
    forgets(monkeypatch, outputs["managed"], NO_ANSWER, deleted)
    assert deleted == [], "nothing is deleted unless AWS says that the cluster is gone"


def test_only_what_the_cluster_owned_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: dict[str, StackOutputs]
) -> None:
    of = outputs["managed"]
    with aws_front.fresh(tmp_path, monkeypatch):
        ec2, elb = api.client("ec2"), api._client("elbv2", api.credentials())
        vpc = ec2.create_vpc(CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="198.18.1.0/24")["Subnet"]["SubnetId"]
        for name, cluster in (("a", of.cluster_name), ("b", "another")):
            tags = [{"Key": f"kubernetes.io/cluster/{cluster}", "Value": "owned"}]
            ours = [{"Key": "elbv2.k8s.aws/cluster", "Value": cluster}]
            said = [{"ResourceType": "security-group", "Tags": ours}]
            ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc, TagSpecifications=said)
            elb.create_load_balancer(Name=f"web-{name}", Type="application", Subnets=[subnet], Tags=ours)
            elb.create_target_group(Name=f"web-{name}", Protocol="HTTP", Port=80, VpcId=vpc, Tags=ours)
            made = elb.create_load_balancer(Name=name, Type="network", Subnets=[subnet], Tags=tags)["LoadBalancers"]
            group = elb.create_target_group(Name=name, Protocol="TCP", Port=80, VpcId=vpc, Tags=tags)["TargetGroups"]
            forward = [{"Type": "forward", "TargetGroupArn": group[0]["TargetGroupArn"]}]
            arn = made[0]["LoadBalancerArn"]
            elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=80, DefaultActions=forward)

        def answer(_: Access, call: Any) -> Any:
            return getattr(api._client(call.service, api.credentials()), call.operation)(**call.parameters)

        monkeypatch.setattr(Access, "answer", answer)
        module.orphans(of, Access(of, ApiClient(), {}, lambda _: None))
        assert {each["LoadBalancerName"] for each in elb.describe_load_balancers()["LoadBalancers"]} == {"b", "web-b"}
        assert {each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]} == {"b", "web-b"}
        groups = {each["GroupName"] for each in ec2.describe_security_groups()["SecurityGroups"]}
        assert groups >= {"b"}
        assert "a" not in groups


def test_a_stack_that_never_came_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not forgets(monkeypatch, UsageError("has no outputs"), NO_ANSWER)
