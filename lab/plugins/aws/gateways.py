"""EC2's ways out of a VPC and into it: addresses, NAT gateways, endpoints of AWS's own services and of SSH."""

from collections.abc import Callable, Mapping
from typing import Any

from lab.plugins.aws.network import state_is
from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Inputs, Type, Update, describe
from lab.plugins.values import Values

#: States of what is gone, though AWS still describes it for a while.
GONE = ("deleted", "failed", "delete-complete", "create-failed")
#: Inputs of an endpoint that change by what is added and what is removed -> what the parameters end in.
MEMBERS = {"routeTableIds": "RouteTableIds", "subnetIds": "SubnetIds", "securityGroupIds": "SecurityGroupIds"}


def unless_gone(look: Callable[[Call], Any]) -> Callable[[Call], Values | None]:
    """A `read` for what AWS goes on to describe after its end."""

    def read(call: Call) -> Values | None:
        answer = look(call)
        return answer if answer and str(answer["State"]).lower() not in GONE else None

    return read


NAT_GATEWAY = unless_gone(describe("describe_nat_gateways", "NatGateways", "NatGatewayIds"))
ENDPOINT = unless_gone(describe("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointIds"))
CONNECT = unless_gone(
    describe("describe_instance_connect_endpoints", "InstanceConnectEndpoints", "InstanceConnectEndpointIds")
)


def delete_nat_gateway(call: Call) -> None:
    """Until it is gone, its address cannot be released, and its subnet not deleted."""
    call.api.delete_nat_gateway(NatGatewayId=call.id)
    call.until(lambda: NAT_GATEWAY(call) is None, f"{call.id} deleted")


def create_endpoint(call: Call) -> str:
    document = {"PolicyDocument": call.inputs["policy"]} if call.inputs.get("policy") else {}
    tags = EC2.create("vpc-endpoint", call.tags) if call.tags else {}
    answer = call.send("create_vpc_endpoint", ClientToken=call.token(), **document, **tags)
    return str(answer["VpcEndpoint"]["VpcEndpointId"])


def modify_endpoint(call: Call) -> None:
    changes: Values = {}
    for name, member in MEMBERS.items():
        before, after = call.old.get(name) or [], call.inputs.get(name) or []
        changes["Add" + member] = [each for each in after if each not in before]
        changes["Remove" + member] = [each for each in before if each not in after]
    if call.changed("policy"):
        document = call.inputs.get("policy")
        changes |= {"PolicyDocument": document} if document else {"ResetPolicy": True}
    if call.changed("privateDnsEnabled"):
        changes["PrivateDnsEnabled"] = bool(call.inputs.get("privateDnsEnabled"))
    call.api.modify_vpc_endpoint(VpcEndpointId=call.id, **{name: value for name, value in changes.items() if value})


def delete_endpoint(call: Call) -> None:
    """Until it is gone, its network interfaces hold their subnets and security groups."""
    call.api.delete_vpc_endpoints(VpcEndpointIds=[call.id])
    call.until(lambda: ENDPOINT(call) is None, f"{call.id} deleted")


def create_connect(call: Call) -> str:
    tags = EC2.create("instance-connect-endpoint", call.tags) if call.tags else {}
    answer = call.send("create_instance_connect_endpoint", ClientToken=call.token(), **tags)
    return str(answer["InstanceConnectEndpoint"]["InstanceConnectEndpointId"])


def delete_connect(call: Call) -> None:
    """Until it is gone, its network interface holds its subnet and security groups."""
    call.api.delete_instance_connect_endpoint(InstanceConnectEndpointId=call.id)
    call.until(lambda: CONNECT(call) is None, f"{call.id} deleted")


def prefix_list(call: Call, answer: Mapping[str, Any]) -> str | None:
    """The list of the service's addresses that routes through a gateway endpoint lead to."""
    if answer["VpcEndpointType"] != "Gateway":
        return None
    named = [{"Name": "prefix-list-name", "Values": [answer["ServiceName"]]}]
    lists = call.api.describe_managed_prefix_lists(Filters=named)["PrefixLists"]
    return str(lists[0]["PrefixListId"]) if lists else None


TYPES = {
    "aws:ec2/eip:Eip": Type(
        "ec2",
        Inputs(optional="domain networkBorderGroup publicIpv4Pool tags region"),
        create="allocate_address",
        result="AllocationId",
        read=describe("describe_addresses", "Addresses", "AllocationIds"),
        delete="release_address",
        id_parameter="AllocationId",
        tagging=EC2,
        tag_kind="elastic-ip",
        outputs="allocationId publicIp publicDns privateDns domain",
        arn="elastic-ip/{id}",
        computed={
            # AWS answers with the name of the address, https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
            "publicDns": lambda call, answer: _host_name("ec2", answer["PublicIp"], call.region, "compute"),
        },
        busy=("InvalidIPAddress.InUse", "DependencyViolation"),
        timeout=300,
    ),
    "aws:ec2/natGateway:NatGateway": Type(
        "ec2",
        Inputs(
            required="subnetId",
            optional="allocationId privateIp tags region",
            defaults={"connectivityType": "public"},
        ),
        create="create_nat_gateway",
        result="NatGateway.NatGatewayId",
        ready=state_is("describe_nat_gateways", "NatGateways", "NatGatewayIds"),
        read=NAT_GATEWAY,
        delete=delete_nat_gateway,
        tagging=EC2,
        tag_kind="natgateway",
        paths={
            "allocationId": "NatGatewayAddresses[0].AllocationId",
            "associationId": "NatGatewayAddresses[0].AssociationId",
            "networkInterfaceId": "NatGatewayAddresses[0].NetworkInterfaceId",
            "privateIp": "NatGatewayAddresses[0].PrivateIp",
            "publicIp": "NatGatewayAddresses[0].PublicIp",
        },
        gone=("NatGatewayNotFound",),
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Type(
        "ec2",
        Inputs(
            required="vpcId serviceName",
            optional="routeTableIds subnetIds securityGroupIds privateDnsEnabled policy tags region",
            defaults={"vpcEndpointType": "Gateway"},
        ),
        create=create_endpoint,
        ready=state_is("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointIds"),
        read=ENDPOINT,
        update=(Update(" ".join([*MEMBERS, "policy", "privateDnsEnabled"]), modify_endpoint),),
        delete=delete_endpoint,
        tagging=EC2,
        tag_kind="vpc-endpoint",
        outputs="ownerId networkInterfaceIds requesterManaged dnsEntries state",
        rename={"policy": "PolicyDocument"},
        arn="vpc-endpoint/{id}",
        paths={"securityGroupIds": "Groups[].GroupId"},
        computed={"prefixListId": prefix_list},
        gone=("InvalidVpcEndpointId.NotFound",),
    ),
    "aws:ec2transitgateway/instanceConnectEndpoint:InstanceConnectEndpoint": Type(
        "ec2",
        Inputs(
            required="subnetId",
            optional="securityGroupIds ipAddressType tags region",
            defaults={"preserveClientIp": True},
        ),
        create=create_connect,
        ready=state_is(
            "describe_instance_connect_endpoints",
            "InstanceConnectEndpoints",
            "InstanceConnectEndpointIds",
            "create-complete",
        ),
        read=CONNECT,
        delete=delete_connect,
        tagging=EC2,
        tag_kind="instance-connect-endpoint",
        outputs="ownerId availabilityZone dnsName networkInterfaceIds vpcId",
        arn="instance-connect-endpoint/{id}",
    ),
}


def _host_name(kind: str, address: str, region: str, rest: str) -> str:
    place = f"{rest}-1" if region == "us-east-1" else f"{region}.{rest}"
    return f"{kind}-{address.replace('.', '-')}.{place}.amazonaws.com"
