"""EC2's route tables, with routes inline or one by one, and their associations."""

from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Inputs, Type, Update, describe
from lab.plugins.values import Values

#: Inputs of a route that say where it leads -> the parameter of CreateRoute and ReplaceRoute, and of a described route.
TARGETS = {
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "networkInterfaceId": "NetworkInterfaceId",
    "transitGatewayId": "TransitGatewayId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "localGatewayId": "LocalGatewayId",
    "carrierGatewayId": "CarrierGatewayId",
}
#: Inputs of a route (and, of the same meaning, of a table's inline route) that say what it is for.
DESTINATIONS = {
    "destinationCidrBlock": "DestinationCidrBlock",
    "destinationIpv6CidrBlock": "DestinationIpv6CidrBlock",
    "destinationPrefixListId": "DestinationPrefixListId",
}
INLINE = {"cidrBlock": "destinationCidrBlock", "ipv6CidrBlock": "destinationIpv6CidrBlock"}

INLINE["destinationPrefixListId"] = "destinationPrefixListId"


def inline_routes(answer: Mapping[str, Any]) -> list[Values]:
    """A table's routes but for those that AWS and gateway endpoints put there."""
    routes = []
    for route in answer.get("Routes", []):
        if route.get("GatewayId") == "local" or route.get("Origin") == "CreateRouteTable":
            continue
        plain = {name: route[DESTINATIONS[of]] for name, of in INLINE.items() if route.get(DESTINATIONS[of])}
        routes.append(plain | {name: route[member] for name, member in TARGETS.items() if route.get(member)})
    return routes


def set_routes(call: Call) -> None:
    """Brings a table's inline routes to those of the inputs."""
    old = {_inline_destination(route): route for route in call.old.get("routes", [])}
    new = {_inline_destination(route): route for route in call.inputs.get("routes", [])}
    for destination, route in old.items():
        if destination not in new:
            call.api.delete_route(RouteTableId=call.id, **_inline_parameters(route, targets=False))
    for destination, route in new.items():
        if old.get(destination) != route:
            put = call.api.replace_route if destination in old else call.api.create_route
            put(RouteTableId=call.id, **_inline_parameters(route))


def _inline_destination(route: Values) -> str:
    return next(str(route[name]) for name in INLINE if route.get(name))


def _inline_parameters(route: Values, *, targets: bool = True) -> dict[str, str]:
    sent = {DESTINATIONS[of]: route[name] for name, of in INLINE.items() if route.get(name)}
    return sent | {member: route[name] for name, member in TARGETS.items() if targets and route.get(name)}


def destination(values: Values) -> dict[str, str]:
    """The destination of a route, as parameters."""
    return {member: values[name] for name, member in DESTINATIONS.items() if values.get(name)}


def target(values: Values) -> dict[str, str]:
    return {member: values[name] for name, member in TARGETS.items() if values.get(name)}


def create_route(call: Call) -> str:
    call.api.create_route(RouteTableId=call.inputs["routeTableId"], **destination(call.inputs), **target(call.inputs))
    where = "".join(destination(call.inputs).values())
    return f"r-{call.inputs['routeTableId']}{sum(where.encode()) * 2654435761 % 10**10}"


def read_route(call: Call) -> Values | None:
    values = call.inputs or call.state
    wanted = destination(values)
    for table in call.api.describe_route_tables(RouteTableIds=[values["routeTableId"]])["RouteTables"]:
        for route in table["Routes"]:
            if all(route.get(name) == value for name, value in wanted.items()):
                return dict(route)
    return None


def associate(call: Call) -> str:
    of = {"SubnetId": call.inputs.get("subnetId"), "GatewayId": call.inputs.get("gatewayId")}
    given = {name: value for name, value in of.items() if value}
    return str(call.api.associate_route_table(RouteTableId=call.inputs["routeTableId"], **given)["AssociationId"])


def read_association(call: Call) -> Values | None:
    filters = [{"Name": "association.route-table-association-id", "Values": [call.id]}]
    for table in call.api.describe_route_tables(Filters=filters)["RouteTables"]:
        for association in table["Associations"]:
            if association["RouteTableAssociationId"] == call.id:
                return dict(association)
    return None


TYPES = {
    "aws:ec2/routeTable:RouteTable": Type(
        "ec2",
        Inputs(
            required="vpcId",
            optional="tags region",
            blocks={"routes": Inputs(optional=" ".join([*INLINE, *TARGETS]))},
            lists="routes",
        ),
        create="create_route_table",
        result="RouteTable.RouteTableId",
        read=describe("describe_route_tables", "RouteTables", "RouteTableIds"),
        update=(Update("routes", set_routes, on_create=True),),
        delete="delete_route_table",
        id_parameter="RouteTableId",
        tagging=EC2,
        tag_kind="route-table",
        outputs="ownerId",
        arn="route-table/{id}",
        computed={
            # Only where the table says its routes: they may also be resources of their own.
            "routes": lambda call, answer: inline_routes(answer) if "routes" in call.inputs else None,
        },
    ),
    "aws:ec2/route:Route": Type(
        "ec2",
        Inputs(required="routeTableId", optional=" ".join([*DESTINATIONS, *TARGETS, "region"])),
        create=create_route,
        read=read_route,
        update=(
            Update(
                " ".join(TARGETS),
                lambda call: call.api.replace_route(
                    RouteTableId=call.inputs["routeTableId"], **destination(call.inputs), **target(call.inputs)
                ),
            ),
        ),
        delete=lambda call: call.api.delete_route(RouteTableId=call.state["routeTableId"], **destination(call.state)),
        outputs="origin state",
        gone=("InvalidRouteTableID.NotFound", "InvalidRoute.NotFound"),
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Type(
        "ec2",
        Inputs(required="routeTableId", optional="subnetId gatewayId region"),
        create=associate,
        read=read_association,
        delete=lambda call: call.api.disassociate_route_table(AssociationId=call.id),
    ),
}
