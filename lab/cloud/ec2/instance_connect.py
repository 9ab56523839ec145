"""EC2 Instance Connect Endpoints, which moto does not know: what their API answers. Nothing goes through one."""

from __future__ import annotations

from typing import Any

from moto.core import utils
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.general import General
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX, add_tag_specification, random_id

KIND, PREFIX = "instance-connect-endpoint", "eice"
#: Filter of DescribeInstanceConnectEndpoints -> member of the answer.
FILTERS = {
    "instance-connect-endpoint-id": "InstanceConnectEndpointId",
    "state": "State",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
}


def install() -> None:
    """Gives moto's EC2 the operations, and lets it tag what they make."""
    EC2_RESOURCE_TO_PREFIX[KIND], EC2_PREFIX_TO_RESOURCE[PREFIX] = PREFIX, KIND
    General.create_instance_connect_endpoint = _create  # type: ignore[attr-defined]
    General.delete_instance_connect_endpoint = _delete  # type: ignore[attr-defined]
    General.describe_instance_connect_endpoints = _describe  # type: ignore[attr-defined]


def _endpoints(backend: Any) -> dict[str, dict[str, Any]]:
    """Id -> the endpoint as it is described, without its tags. They end with the backend."""
    endpoints: dict[str, dict[str, Any]] = backend.__dict__.setdefault("instance_connect_endpoints", {})
    return endpoints


def _create(self: Any) -> ActionResult:
    backend, token = self.ec2_backend, self._get_param("ClientToken")
    endpoints = _endpoints(backend)
    again = next((each for each in endpoints.values() if token and each["ClientToken"] == token), None)
    if again:
        return ActionResult({"InstanceConnectEndpoint": _told(backend, again), "ClientToken": token})
    subnet = backend.get_subnet(self._get_param("SubnetId"))
    # The quota that cannot be raised (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/eice-quotas.html).
    if any(each["VpcId"] == subnet.vpc_id for each in endpoints.values()):
        raise EC2ClientError(
            "InstanceConnectEndpointLimitExceeded", f"{subnet.vpc_id} has an EC2 Instance Connect Endpoint already"
        )
    groups = self._get_param("SecurityGroupIds", [])
    interface = backend.create_network_interface(
        subnet, None, group_ids=groups, description="EC2 Instance Connect Endpoint"
    )
    preserved = self._get_param("PreserveClientIp", True)
    name, place = random_id(PREFIX), f"{backend.region_name}:{backend.account_id}"
    endpoints[name] = {
        "OwnerId": backend.account_id,
        "InstanceConnectEndpointId": name,
        "InstanceConnectEndpointArn": f"arn:{backend.partition}:ec2:{place}:{KIND}/{name}",
        "State": "create-complete",
        "StateMessage": "",
        "DnsName": f"{name}.{name[5:13]}.ec2-instance-connect-endpoint.{backend.region_name}.amazonaws.com",
        "NetworkInterfaceIds": [interface.id],
        "VpcId": subnet.vpc_id,
        "AvailabilityZone": str(subnet.availability_zone),
        "CreatedAt": utils.utcnow(),  # by its module: the front sets the clock there
        "SubnetId": subnet.id,
        "PreserveClientIp": preserved,
        "SecurityGroupIds": groups,
        "IpAddressType": self._get_param("IpAddressType", "ipv4"),
        "ClientToken": token,
    }
    backend.create_tags([name], add_tag_specification(self._get_param("TagSpecifications", [])))
    return ActionResult({"InstanceConnectEndpoint": _told(backend, endpoints[name]), "ClientToken": token})


def _delete(self: Any) -> ActionResult:
    name = self._get_param("InstanceConnectEndpointId")
    [found] = _found(self.ec2_backend, [name])
    self.ec2_backend.delete_network_interface(found["NetworkInterfaceIds"][0])
    del _endpoints(self.ec2_backend)[name]
    return ActionResult({"InstanceConnectEndpoint": {**found, "State": "delete-complete"}})


def _describe(self: Any) -> ActionResult:
    found = _found(self.ec2_backend, self._get_param("InstanceConnectEndpointIds", []))
    for name, values in self._filters_from_querystring().items():
        if name not in FILTERS:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        found = [each for each in found if each[FILTERS[name]] in values]
    return ActionResult({"InstanceConnectEndpoints": found})


def _found(backend: Any, names: list[str]) -> list[dict[str, Any]]:
    endpoints = _endpoints(backend)
    for name in names:
        if name not in endpoints:
            raise EC2ClientError(
                "InvalidInstanceConnectEndpointId.NotFound", f"The instance connect endpoint {name} does not exist"
            )
    return [_told(backend, endpoints[name]) for name in names or endpoints]


def _told(backend: Any, endpoint: dict[str, Any]) -> dict[str, Any]:
    tags = backend.tags.get(endpoint["InstanceConnectEndpointId"], {})
    return {**endpoint, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
