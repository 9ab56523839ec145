"""The lab's EC2 Instance Connect Endpoints: one a VPC, found by what the AWS CLI asks for, the same after a replay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.endpoint.endpoint import Endpoint
from lab.cloud.endpoint.journal import Journal
from tests import aws_front


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with aws_front.fresh(tmp_path, monkeypatch) as front:
        yield front


def subnet() -> Any:
    ec2 = api.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="198.18.0.0/18")["Vpc"]["VpcId"]
    return ec2.create_subnet(VpcId=vpc, CidrBlock="198.18.1.0/24")["Subnet"]


@pytest.mark.usefixtures("front")
def test_made_found_and_gone() -> None:
    ec2, where = api.client("ec2"), subnet()
    tags = [{"ResourceType": "instance-connect-endpoint", "Tags": [{"Key": "a", "Value": "b"}]}]
    made = ec2.create_instance_connect_endpoint(
        SubnetId=where["SubnetId"], PreserveClientIp=False, ClientToken="t", TagSpecifications=tags
    )["InstanceConnectEndpoint"]
    again = ec2.create_instance_connect_endpoint(SubnetId=where["SubnetId"], ClientToken="t")
    assert again["InstanceConnectEndpoint"]["InstanceConnectEndpointId"] == made["InstanceConnectEndpointId"]
    assert made["PreserveClientIp"] is False
    [interface] = ec2.describe_network_interfaces(NetworkInterfaceIds=made["NetworkInterfaceIds"])["NetworkInterfaces"]
    assert interface["SubnetId"] == where["SubnetId"]

    def found(**values: str) -> list[str]:
        filters = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in values.items()]
        answer = ec2.describe_instance_connect_endpoints(Filters=filters)["InstanceConnectEndpoints"]  # type: ignore[arg-type]
        return [each["InstanceConnectEndpointId"] for each in answer if each["Tags"] == [{"Key": "a", "Value": "b"}]]

    # As `aws ec2-instance-connect open-tunnel` looks for it.
    assert found(vpc_id=where["VpcId"], state="create-complete") == [made["InstanceConnectEndpointId"]]
    assert found(vpc_id="vpc-0") == []
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        found(zone="a")
    gone = ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=made["InstanceConnectEndpointId"])
    assert gone["InstanceConnectEndpoint"]["State"] == "delete-complete"
    with pytest.raises(ClientError, match=r"InvalidInstanceConnectEndpointId\.NotFound"):
        ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=made["InstanceConnectEndpointId"])
    with pytest.raises(ClientError, match=r"InvalidNetworkInterfaceID\.NotFound"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=made["NetworkInterfaceIds"])


@pytest.mark.usefixtures("front")
def test_a_vpc_has_one() -> None:
    ec2, where = api.client("ec2"), subnet()
    ec2.create_instance_connect_endpoint(SubnetId=where["SubnetId"])
    with pytest.raises(ClientError, match="InstanceConnectEndpointLimitExceeded"):
        ec2.create_instance_connect_endpoint(SubnetId=where["SubnetId"])
    assert ec2.create_instance_connect_endpoint(SubnetId=subnet()["SubnetId"])


@pytest.mark.usefixtures("front")
def test_the_same_after_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.moto_api._internal.models import moto_api_backend

    ec2 = api.client("ec2")
    with monkeypatch.context() as earlier:
        earlier.setattr("lab.cloud.endpoint.endpoint.time.time", lambda: 1.6e9)
        ec2.create_instance_connect_endpoint(SubnetId=subnet()["SubnetId"])
    before = ec2.describe_instance_connect_endpoints()["InstanceConnectEndpoints"]
    assert [each["CreatedAt"].timestamp() for each in before] == [1.6e9]
    moto_api_backend.reset()
    monkeypatch.setattr(api, "endpoint", Endpoint(Journal(api.directory() / "journal.jsonl")))
    after = ec2.describe_instance_connect_endpoints()["InstanceConnectEndpoints"]
    assert after == before
