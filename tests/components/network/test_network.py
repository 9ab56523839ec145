"""Network: what each argument does, and subnets of any block."""

from ipaddress import IPv4Network
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.network import flow_logs
from components.network.network import Network, NetworkArgs
from components.network.subnet_blocks import subnet_blocks
from components.network.vpc_endpoints import VpcEndpoints, VpcEndpointsArgs
from tests.support import golden_files
from tests.support.pulumi_mocks import Graph, run

CIDR = IPv4Network("10.20.0.0/16")


def network(name: str = "net", **changes: Any) -> Graph:
    def program() -> Network:
        made = Network(name, NetworkArgs(**{"cidr": CIDR, **changes}))
        pulumi.export("vpc", made.vpc_id)
        pulumi.export("public", made.public_subnet_ids)
        pulumi.export("private", made.private_subnet_ids)
        return made

    return run(program)


def test_cidr_is_the_vpcs_and_its_eighths_are_the_subnets() -> None:
    graph = network(cidr=IPv4Network("10.99.0.0/20"))
    assert graph.one("Vpc").inputs["cidrBlock"] == "10.99.0.0/20"
    assert {each.name: each.inputs["cidrBlock"] for each in graph.all("Subnet")} == {
        "net-public-1": "10.99.0.0/23",
        "net-public-2": "10.99.2.0/23",
        "net-private-1": "10.99.8.0/23",
        "net-private-2": "10.99.10.0/23",
    }


def test_zones_are_the_first_by_name() -> None:
    graph = network(zones=3)
    zones = {each.name: each.inputs["availabilityZone"] for each in graph.all("Subnet")}
    assert zones == {
        f"net-{side}-{number}": f"us-east-1{letter}"
        for side in ("public", "private")
        for number, letter in ((1, "a"), (2, "b"), (3, "c"))
    }


def test_more_zones_than_the_region_has_is_one_line() -> None:
    with pytest.raises(
        pulumi.RunError, match=r"availabilityZones: 5 asked for, the region has 4 that EKS takes: us-east-1c, "
    ):
        network(zones=5)


def test_only_zones_that_need_no_opt_in_and_serve_eks_are_asked_for() -> None:
    [asked] = [args for token, args in network().calls if token.endswith("getAvailabilityZones")]
    assert asked["filters"] == [{"name": "opt-in-status", "values": ["opt-in-not-required"]}]
    assert asked["excludeZoneIds"] == ["use1-az3", "usw1-az2", "cac1-az3"]


def test_without_nat_private_subnets_have_no_way_out() -> None:
    graph = network()
    assert not graph.all("NatGateway")
    assert [route.inputs for route in graph.all("Route")] == [
        {
            "routeTableId": "net-public-id",
            "destinationCidrBlock": "0.0.0.0/0",
            "gatewayId": "net-internet-id",
        }
    ]


def test_single_nat_is_in_the_first_zone_and_serves_every_private_subnet() -> None:
    graph = network(nat="single")
    gateway = graph.one("NatGateway")
    assert gateway.inputs["subnetId"] == "net-public-1-id"
    assert gateway.inputs["allocationId"] == "net-nat-1-id"
    assert graph.one("Eip").inputs["domain"] == "vpc"
    ways = {
        route.inputs["routeTableId"]: route.inputs["natGatewayId"]
        for route in graph.all("Route")
        if "private" in route.name
    }
    assert ways == {"net-private-1-id": "net-nat-1-id", "net-private-2-id": "net-nat-1-id"}


def test_per_zone_nat_serves_each_zone_from_itself() -> None:
    graph = network(nat="per_zone", zones=3)
    gateways = {each.name: each.inputs["subnetId"] for each in graph.all("NatGateway")}
    assert gateways == {f"net-nat-{n}": f"net-public-{n}-id" for n in (1, 2, 3)}
    ways = {r.inputs["routeTableId"]: r.inputs.get("natGatewayId") for r in graph.all("Route") if "private" in r.name}
    assert ways == {f"net-private-{n}-id": f"net-nat-{n}-id" for n in (1, 2, 3)}


def test_load_balancer_controllers_find_the_subnets() -> None:
    found = {
        each.name: {key for key in each.inputs["tags"] if key.startswith("kubernetes.io/")}
        for each in network().all("Subnet")
    }
    assert found["net-public-1"] == found["net-public-2"] == {"kubernetes.io/role/elb"}
    assert found["net-private-1"] == found["net-private-2"] == {"kubernetes.io/role/internal-elb"}


def test_the_default_group_is_closed() -> None:
    inputs = network().one("DefaultSecurityGroup").inputs
    assert inputs["vpcId"] == "net-id"
    assert not {"ingress", "egress"} & set(inputs)


def test_every_table_leads_to_s3() -> None:
    inputs = network(zones=3).one("VpcEndpoint").inputs
    assert (inputs["vpcEndpointType"], inputs["serviceName"]) == ("Gateway", "com.amazonaws.us-east-1.s3")
    assert inputs["routeTableIds"] == ["net-public-id", "net-private-1-id", "net-private-2-id", "net-private-3-id"]


def test_interface_endpoints_are_in_the_private_subnets_and_open_to_the_vpc() -> None:
    graph = network(interface_endpoints=("ecr.api", "sts"))
    made = {each.name: each.inputs for each in graph.all("VpcEndpoint") if each.name != "net-s3"}
    assert {name: inputs["serviceName"] for name, inputs in made.items()} == {
        "net-ecr-api": "com.amazonaws.us-east-1.ecr.api",
        "net-sts": "com.amazonaws.us-east-1.sts",
    }
    for inputs in made.values():
        assert inputs["subnetIds"] == ["net-private-1-id", "net-private-2-id"]
        assert inputs["securityGroupIds"] == ["net-endpoints-id"]
        assert inputs["privateDnsEnabled"] is True
        assert inputs["vpcEndpointType"] == "Interface"
    rule = graph.one("SecurityGroupIngressRule").inputs
    assert (rule["cidrIpv4"], rule["fromPort"], rule["toPort"]) == ("10.20.0.0/16", 443, 443)
    assert not network().all("SecurityGroup")


@pytest.mark.parametrize("cidr", ["10.20.0.0/16", "10.30.4.0/22"])
def test_endpoints_by_themselves(cidr: str) -> None:
    args = VpcEndpointsArgs(
        vpc_id="vpc-1",
        cidr=IPv4Network(cidr),
        route_table_ids=["rtb-1", "rtb-2"],
        subnet_ids=["subnet-1"],
        interfaces=["ec2"],
    )
    graph = run(lambda: VpcEndpoints("e", args))
    assert graph.one("VpcEndpoint", "e-s3").inputs["routeTableIds"] == ["rtb-1", "rtb-2"]
    interface = graph.one("VpcEndpoint", "e-ec2").inputs
    assert interface["serviceName"] == "com.amazonaws.us-east-1.ec2"
    assert (interface["vpcId"], interface["subnetIds"]) == ("vpc-1", ["subnet-1"])
    assert graph.one("SecurityGroupIngressRule").inputs["cidrIpv4"] == cidr


def test_flow_logs_record_everything_for_as_long_as_told() -> None:
    graph = network(flow_log_days=30)
    assert graph.one("LogGroup").inputs["retentionInDays"] == 30
    log = graph.one("FlowLog").inputs
    assert (log["vpcId"], log["trafficType"]) == ("net-id", "ALL")
    assert log["logDestination"].endswith(":log-group:net-flow-logs-0123abc")
    assert log["iamRoleArn"] == "arn:test:iam::1:role/net-flow-logs"
    assert graph.one("RolePolicy").inputs["policy"] == flow_logs.write_to(log["logDestination"])
    assert not network().all("FlowLog")


@pytest.mark.parametrize("days", [1, 400])
def test_flow_logs_by_themselves(days: int) -> None:
    graph = run(lambda: flow_logs.FlowLogs("l", flow_logs.FlowLogsArgs(vpc_id="vpc-1", days=days)))
    assert graph.one("LogGroup").inputs["retentionInDays"] == days
    assert graph.one("FlowLog").inputs["vpcId"] == "vpc-1"


def test_policies_of_flow_logs() -> None:
    golden_files.check("flow_logs_trust.json", flow_logs.trust("amazonaws.com", "123456789012") + "\n")
    group = "arn:aws:logs:us-east-1:123456789012:log-group:net-flow-logs"
    golden_files.check("flow_logs_policy.json", flow_logs.write_to(group) + "\n")


def test_each_subnet_is_tied_to_its_side() -> None:
    ties = {tie.inputs["subnetId"]: tie.inputs["routeTableId"] for tie in network().all("RouteTableAssociation")}
    assert ties == {
        "net-public-1-id": "net-public-id",
        "net-public-2-id": "net-public-id",
        "net-private-1-id": "net-private-1-id",
        "net-private-2-id": "net-private-2-id",
    }


def test_subnets_hand_out_no_public_addresses_by_themselves() -> None:
    assert {each.inputs["mapPublicIpOnLaunch"] for each in network().all("Subnet")} == {False}


def test_outputs_are_ids_in_the_order_of_the_zones() -> None:
    assert network().exports == {
        "vpc": "net-id",
        "public": ["net-public-1-id", "net-public-2-id"],
        "private": ["net-private-1-id", "net-private-2-id"],
    }


def test_who_depends_on_the_network_has_its_ways_out() -> None:
    def program() -> None:
        made = Network("net", NetworkArgs(CIDR, nat="single", interface_endpoints=["sts"]))
        after = pulumi.ResourceOptions(depends_on=[made])
        pulumi.ComponentResource("twinplane:test:User", "user", None, after)

    graph = run(program)
    needed = graph.before(graph.one("User"))
    ways = [each for kind in ("Route", "RouteTableAssociation", "VpcEndpoint") for each in graph.all(kind)]
    assert {"net-public-out", "net-private-1-out", "net-private-1", "net-sts"} <= {each.name for each in ways}
    assert {each.urn for each in ways} <= needed
    assert graph.one("Route", "net-public-out").urn in graph.before(graph.one("NatGateway"))


@given(
    prefix=st.integers(16, 25),
    position=st.integers(0, 2**32 - 1),
    zones=st.integers(1, 4),
)
def test_subnets_of_any_block_fit_and_do_not_overlap(prefix: int, position: int, zones: int) -> None:
    cidr = IPv4Network((position >> (32 - prefix) << (32 - prefix), prefix))
    blocks = subnet_blocks(cidr, zones)
    everything = blocks.public + blocks.private
    assert len(blocks.public) == len(blocks.private) == zones
    assert all(block.subnet_of(cidr) and block.prefixlen == prefix + 3 for block in everything)
    assert not any(a.overlaps(b) for i, a in enumerate(everything) for b in everything[:i])


@given(zones=st.integers(1, 3))
def test_one_more_zone_moves_no_subnet(zones: int) -> None:
    fewer, more = subnet_blocks(CIDR, zones), subnet_blocks(CIDR, zones + 1)
    assert more.public[:zones] == fewer.public
    assert more.private[:zones] == fewer.private


@pytest.mark.parametrize(("side", "tables"), [("public", ["public"]), ("private", ["private-1"])])
def test_subnets_with_routes_to_pods_share_the_one_table_that_has_the_cluster_s_tag(
    side: str, tables: list[str]
) -> None:
    graph = network(pod_routes=side, subnet_tags={"a": "b"}, nat="single", zones=3)
    assert [each.name for each in graph.all("RouteTable") if "a" in each.inputs["tags"]] == [f"net-{t}" for t in tables]
    ties = [tie.inputs for tie in graph.all("RouteTableAssociation")]
    assert {tie["routeTableId"] for tie in ties if side in tie["subnetId"]} == {f"net-{t}-id" for t in tables}
    assert len([tie for tie in ties if side in tie["subnetId"]]) == 3
    assert not any("routes" in each.inputs for each in graph.all("RouteTable")), "the controller's would be drift"
    assert not any("a" in each.inputs["tags"] for each in network(subnet_tags={"a": "b"}).all("RouteTable"))


def test_tags_of_subnets_besides() -> None:
    graph = network(subnet_tags={"a": "b"})
    assert {each.inputs["tags"]["a"] for each in graph.all("Subnet")} == {"b"}
    assert "kubernetes.io/role/elb" in graph.one("Subnet", "net-public-1").inputs["tags"]
