"""What a killed update leaves, by the lab's own AWS: the calls are understood, and what they answer is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.cloud import api
from tests.support import aws_front
from twinplane import strays
from twinplane.live.unanswered import Unanswered
from twinplane.strays import Kind, Place

OWN = {"Project": "twinplane", "Stack": "dev"}


@pytest.fixture(autouse=True)
def _front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(strays.time, "sleep", lambda _: None)
    with aws_front.fresh(tmp_path, monkeypatch):
        yield


def ask(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    try:
        return dict(getattr(api._client(service, api.credentials()), operation)(**parameters))  # type: ignore[arg-type]
    except ClientError as error:
        raise Unanswered(str(error), error.response["Error"]["Code"]) from None


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def network() -> tuple[str, str]:
    """A VPC and a subnet in it."""
    vpc = ask("ec2", "create_vpc", CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
    subnet = ask("ec2", "create_subnet", VpcId=vpc, CidrBlock="198.18.1.0/24")["Subnet"]["SubnetId"]
    return vpc, subnet


def made(kind: Kind, vpc: str, subnet: str, tags: dict[str, str]) -> str:
    """The id of a new one."""

    def named(what: str) -> dict[str, Any]:
        return {"TagSpecifications": [{"ResourceType": what, "Tags": pairs(tags)}]}

    if kind is strays.NAT_GATEWAYS:
        return str(
            ask("ec2", "create_nat_gateway", SubnetId=subnet, **named("natgateway"))["NatGateway"]["NatGatewayId"]
        )
    if kind is strays.ENDPOINTS:
        of = {"VpcId": vpc, "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.us-east-1.sts"}
        return str(ask("ec2", "create_vpc_endpoint", **of, **named("vpc-endpoint"))["VpcEndpoint"]["VpcEndpointId"])
    if kind is strays.SSH_ENDPOINTS:
        answer = ask("ec2", "create_instance_connect_endpoint", SubnetId=subnet, **named("instance-connect-endpoint"))
        return str(answer["InstanceConnectEndpoint"]["InstanceConnectEndpointId"])
    of = {"Name": f"api-{len(tags)}", "Type": "network", "Subnets": [subnet], "Tags": pairs(tags)}
    return str(ask("elbv2", "create_load_balancer", **of)["LoadBalancers"][0]["LoadBalancerArn"])


@pytest.mark.parametrize(
    "kind",
    [strays.NAT_GATEWAYS, strays.ENDPOINTS, strays.SSH_ENDPOINTS, strays.BALANCERS],
    ids=lambda kind: kind.resource,
)
def test_found_by_vpc_and_tags_and_ended(kind: Kind) -> None:
    vpc, subnet = network()
    place, told = Place((vpc,)), list[str]()
    assert kind.look(ask, place) == {}
    name = made(kind, vpc, subnet, {**OWN, "Name": "dev-a"})
    others = made(kind, *network(), OWN)
    assert strays.own(kind.look(ask, place), "twinplane", "dev") == {name}
    assert strays.own(kind.look(ask, place), "twinplane", "other") == set()
    assert others in kind.look(ask, Place()), "in any VPC"
    strays.end(ask, place, [name], told.append)
    assert told == [f"  deleting {name}, which the stack's state does not know"]
    assert strays.alive(kind.look(ask, place)) == set()
    assert others in strays.alive(kind.look(ask, Place()))


def test_a_load_balancer_of_a_controller_is_not_looked_at() -> None:
    vpc, subnet = network()
    made(strays.BALANCERS, vpc, subnet, {**OWN, "kubernetes.io/cluster/twinplane-dev": "owned"})
    made(strays.BALANCERS, vpc, subnet, {**OWN, "elbv2.k8s.aws/cluster": "twinplane-dev", "Name": "x"})
    assert strays.BALANCERS.look(ask, Place((vpc,))) == {}
    assert strays.NODE_GROUPS.look(ask, Place((vpc,))) == {}
