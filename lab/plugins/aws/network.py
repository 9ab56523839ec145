"""EC2's network: VPC, subnets, internet gateways."""

from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Inputs, Type, Update, describe


def state_is(operation: str, found: str, parameter: str, state: str = "available") -> Any:
    """A `ready`: waits until the resource that `operation` describes is in `state`."""
    look = describe(operation, found, parameter)
    return lambda call: call.until(lambda: (look(call) or {}).get("State") == state, f"{call.id} {state}")


def modify(operation: str, parameter: str, name: str, member: str) -> Update:
    """An `update` of one flag by an operation that takes it as {"Value": flag}."""
    return Update(
        name,
        lambda call: getattr(call.api, operation)(
            **{parameter: call.id, member: {"Value": bool(call.inputs.get(name, False))}}
        ),
        on_create=True,
    )


def vpc_flag(member: str, attribute: str) -> Any:
    """A `computed`: a VPC's flag that needs a question of its own."""

    def ask(call: Call, _: Mapping[str, Any]) -> bool:
        return bool(call.api.describe_vpc_attribute(VpcId=call.id, Attribute=attribute)[member]["Value"])

    return ask


def of_vpc(operation: str, found: str, member: str, **conditions: str) -> Any:
    """A `computed`: the id of what the VPC was made with."""

    def ask(call: Call, _: Mapping[str, Any]) -> str | None:
        filters = [{"Name": "vpc-id", "Values": [call.id]}]
        filters += [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in conditions.items()]
        answer = getattr(call.api, operation)(Filters=filters)[found]
        return str(answer[0][member]) if answer else None

    return ask


MAIN_TABLE = of_vpc("describe_route_tables", "RouteTables", "RouteTableId", **{"association.main": "true"})


def attach(call: Call) -> None:
    """Moves an internet gateway from its VPC to the one in the inputs."""
    if attached := call.old.get("vpcId"):
        call.api.detach_internet_gateway(InternetGatewayId=call.id, VpcId=attached)
    if wanted := call.inputs.get("vpcId"):
        call.api.attach_internet_gateway(InternetGatewayId=call.id, VpcId=wanted)


def delete_gateway(call: Call) -> None:
    if attached := call.state.get("vpcId"):
        try:
            call.api.detach_internet_gateway(InternetGatewayId=call.id, VpcId=attached)
        except call.api.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "Gateway.NotAttached":
                raise
    call.api.delete_internet_gateway(InternetGatewayId=call.id)


TYPES = {
    "aws:ec2/vpc:Vpc": Type(
        "ec2",
        Inputs(
            optional="cidrBlock enableDnsHostnames tags region",
            defaults={"enableDnsSupport": True, "instanceTenancy": "default"},
        ),
        create="create_vpc",
        result="Vpc.VpcId",
        ready=state_is("describe_vpcs", "Vpcs", "VpcIds"),
        read=describe("describe_vpcs", "Vpcs", "VpcIds"),
        update=(
            modify("modify_vpc_attribute", "VpcId", "enableDnsSupport", "EnableDnsSupport"),
            modify("modify_vpc_attribute", "VpcId", "enableDnsHostnames", "EnableDnsHostnames"),
        ),
        delete="delete_vpc",
        id_parameter="VpcId",
        tagging=EC2,
        tag_kind="vpc",
        outputs="ownerId dhcpOptionsId",
        arn="vpc/{id}",
        computed={
            "enableDnsSupport": vpc_flag("EnableDnsSupport", "enableDnsSupport"),
            "enableDnsHostnames": vpc_flag("EnableDnsHostnames", "enableDnsHostnames"),
            "mainRouteTableId": MAIN_TABLE,
            "defaultRouteTableId": lambda call, answer: (
                call.state.get("defaultRouteTableId") or MAIN_TABLE(call, answer)
            ),
            "defaultSecurityGroupId": of_vpc(
                "describe_security_groups", "SecurityGroups", "GroupId", group_name="default"
            ),
            "defaultNetworkAclId": of_vpc("describe_network_acls", "NetworkAcls", "NetworkAclId", default="true"),
        },
    ),
    "aws:ec2/subnet:Subnet": Type(
        "ec2",
        Inputs(
            required="vpcId",
            optional="cidrBlock availabilityZone availabilityZoneId tags region",
            defaults={"mapPublicIpOnLaunch": False, "assignIpv6AddressOnCreation": False},
        ),
        create="create_subnet",
        result="Subnet.SubnetId",
        ready=state_is("describe_subnets", "Subnets", "SubnetIds"),
        read=describe("describe_subnets", "Subnets", "SubnetIds"),
        update=(
            Update(
                "mapPublicIpOnLaunch",
                lambda call: (
                    (call.changed("mapPublicIpOnLaunch") and (call.old or call.inputs["mapPublicIpOnLaunch"]))
                    and call.api.modify_subnet_attribute(
                        SubnetId=call.id, MapPublicIpOnLaunch={"Value": call.inputs["mapPublicIpOnLaunch"]}
                    )
                ),
                on_create=True,
            ),
        ),
        delete="delete_subnet",
        id_parameter="SubnetId",
        tagging=EC2,
        tag_kind="subnet",
        outputs="arn ownerId availabilityZone availabilityZoneId",
        rename={"arn": "SubnetArn"},
        arn="subnet/{id}",
    ),
    "aws:ec2/internetGateway:InternetGateway": Type(
        "ec2",
        Inputs(optional="vpcId tags region"),
        create="create_internet_gateway",
        result="InternetGateway.InternetGatewayId",
        read=describe("describe_internet_gateways", "InternetGateways", "InternetGatewayIds"),
        update=(Update("vpcId", attach, on_create=True),),
        delete=delete_gateway,
        tagging=EC2,
        tag_kind="internet-gateway",
        outputs="ownerId",
        arn="internet-gateway/{id}",
        paths={"vpcId": "Attachments[0].VpcId"},
    ),
}
