"""ApiBalancer: what each argument does."""

from typing import Any

import pulumi

from components.kubeadm.api_balancer import ApiBalancer, ApiBalancerArgs
from tests.support.pulumi_mocks import Graph, run

ARGS: dict[str, Any] = {
    "vpc_id": "vpc-1",
    "subnet_ids": ["subnet-1"],
    "public": False,
    "security_group_id": "sg-1",
    "control_planes": {"control-plane-1": "i-1"},
}


def balancer(**changes: Any) -> Graph:
    return run(lambda: pulumi.export("host", ApiBalancer("b", ApiBalancerArgs(**{**ARGS, **changes})).host))


def test_where_it_stands() -> None:
    graph = balancer(vpc_id="vpc-2", subnet_ids=["subnet-2", "subnet-3"])
    assert graph.one("LoadBalancer").inputs["subnets"] == ["subnet-2", "subnet-3"]
    assert graph.one("TargetGroup").inputs["vpcId"] == "vpc-2"
    assert graph.exports["host"] == "b.elb.test"


def test_public() -> None:
    assert balancer(public=True).one("LoadBalancer").inputs["internal"] is False
    assert balancer().one("LoadBalancer").inputs["internal"] is True


def test_control_planes_are_its_targets() -> None:
    graph = balancer(control_planes={"one": "i-1", "two": "i-2"})
    assert {each.name: each.inputs["targetId"] for each in graph.all("TargetGroupAttachment")} == {
        "b-one": "i-1",
        "b-two": "i-2",
    }


def test_security_group() -> None:
    assert balancer(security_group_id="sg-2").one("LoadBalancer").inputs["securityGroups"] == ["sg-2"]
