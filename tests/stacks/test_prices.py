"""The bill follows the settings, and both default stacks stay under 1 USD an hour together."""

import json

import pytest
import yaml

from stacks import prices
from stacks.settings import ManagedSettings, SelfManagedSettings, read
from tests import ROOT

STACKS = ROOT / "stacks"


def settings(stack: str, **changed: str) -> ManagedSettings | SelfManagedSettings:
    raw = yaml.safe_load((STACKS / f"Pulumi.{stack}.yaml").read_text())["config"]
    prefix = "twinplane:"
    text = {
        key.removeprefix(prefix): value if isinstance(value, str) else json.dumps(value)
        for key, value in raw.items()
        if key.startswith(prefix)
    }
    own = {"apiCidrs": '["10.0.0.0/8"]', "appImage": "registry.test/sample-app:v1.0.0"}
    return read({**text, **own, **changed}, project="twinplane", stack=stack)


#: What lets EKS's nodes do without a way out.
ENDPOINTS = '["ec2", "ecr.api", "ecr.dkr", "eks-auth"]'


def total(of: ManagedSettings | SelfManagedSettings) -> float:
    return sum(item.hourly for item in prices.bill(of))


def test_both_default_stacks_cost_less_than_a_dollar_an_hour() -> None:
    assert 0 < total(settings("managed")) + total(settings("self-managed")) < 1.0


@pytest.mark.parametrize("stack", ["managed", "self-managed"])
def test_a_worker_costs_what_a_machine_and_its_disk_cost(stack: str) -> None:
    more = total(settings(stack, workers="3")) - total(settings(stack, workers="2"))
    disk = prices.ROOT_GIB[stack] * prices.GP3_GIB_MONTH / prices.HOURS_A_MONTH
    assert more == pytest.approx(prices.INSTANCE["t3.medium"] + disk)


def test_only_the_managed_stack_pays_for_a_control_plane_as_such() -> None:
    def has(stack: str) -> bool:
        return any("EKS" in item.what for item in prices.bill(settings(stack)))

    assert has("managed")
    assert not has("self-managed")


def test_no_nat_gateway_no_charge() -> None:
    lines = {
        item.what for item in prices.bill(settings("managed", nat="none", appCidrs="[]", interfaceEndpoints=ENDPOINTS))
    }
    assert "NAT gateway" not in lines
    assert "public IPv4 address" not in lines


def test_a_gateway_in_each_zone_costs_its_gateways_and_addresses() -> None:
    zones = {"availabilityZones": "3", "interfaceEndpoints": ENDPOINTS}
    more = total(settings("managed", nat="per_zone", **zones)) - total(settings("managed", nat="none", **zones))
    assert more == pytest.approx(3 * (prices.NAT_GATEWAY + prices.PUBLIC_ADDRESS))


def test_an_interface_endpoint_costs_in_each_zone() -> None:
    more = total(settings("managed", interfaceEndpoints='["ecr.api", "sts"]')) - total(settings("managed"))
    assert more == pytest.approx(2 * 2 * prices.INTERFACE_ENDPOINT)


def test_auto_mode_has_larger_machines_and_costs_its_share_of_each() -> None:
    more = total(settings("managed", nodeMode="auto")) - total(settings("managed"))
    machine = prices.INSTANCE["c6a.large"] * (1 + prices.AUTO_MODE) - prices.INSTANCE["t3.medium"]
    disk = (80 - 20) * prices.GP3_GIB_MONTH / prices.HOURS_A_MONTH
    assert more == pytest.approx(2 * (machine + disk))
    assert total(settings("managed", nodeMode="auto", instanceType="t3.large")) == pytest.approx(
        total(settings("managed", nodeMode="auto"))
    ), "which config has no say in"


def test_a_volume_for_etcd_costs_on_each_control_plane() -> None:
    without = total(settings("self-managed", etcdVolumeSize="0", controlPlanes="3"))
    more = total(settings("self-managed", etcdVolumeSize="20", controlPlanes="3")) - without
    assert more * prices.HOURS_A_MONTH == pytest.approx(3 * 20 * prices.GP3_GIB_MONTH)


def test_a_registry_costs_its_key() -> None:
    more = total(settings("managed")) - total(settings("managed", registryImages="[]"))
    assert more * prices.HOURS_A_MONTH == pytest.approx(prices.KMS_KEY_MONTH)


@pytest.mark.parametrize("stack", ["managed", "self-managed"])
def test_the_app_s_load_balancer_costs_itself_and_an_address_in_each_zone(stack: str) -> None:
    without = total(settings(stack, appCidrs="[]"))
    assert total(settings(stack, ingressScheme="internal")) - without == pytest.approx(prices.LOAD_BALANCER)
    more = total(settings(stack)) - without
    assert more == pytest.approx(prices.LOAD_BALANCER + 2 * prices.PUBLIC_ADDRESS)


@pytest.mark.parametrize(("scheme", "addresses"), [("internet-facing", 2), ("internal", 0)])
def test_hosts_cost_a_load_balancer_with_an_address_in_each_zone(scheme: str, addresses: int) -> None:
    alone = {"ingressScheme": scheme}
    more = total(settings("managed", ingressHosts='["a.test", "b.test"]', **alone)) - total(
        settings("managed", **alone)
    )
    assert more == pytest.approx(prices.APPLICATION_LOAD_BALANCER + addresses * prices.PUBLIC_ADDRESS)


def test_the_documents_sums_are_those_of_the_bill() -> None:
    text = (STACKS.parent / "docs" / "aws.md").read_text()
    both = [total(settings(stack)) for stack in ("managed", "self-managed")]
    each = [*both, total(settings("self-managed", controlPlanes="3"))]
    hours, months = (
        " | ".join(f"**{form}**" for form in forms)
        for forms in (
            [f"{hourly:.3f}" for hourly in each],
            [f"{hourly * prices.HOURS_A_MONTH:.0f}" for hourly in each],
        )
    )
    assert f"| **an hour** | {hours} |" in text
    assert f"| **a month** ({prices.HOURS_A_MONTH} hours) | {months} |" in text
    month = sum(both) * prices.HOURS_A_MONTH
    assert f"Both defaults together: **{sum(both):.3f}** an hour, **{month:.0f}** a month." in text
    assert prices.AS_OF in text


def test_public_machines_cost_an_address_each_and_no_gateway() -> None:
    public = {"machineSubnets": "public", "sshCidrs": '["198.19.2.0/24"]'}
    more = total(settings("self-managed", **public)) - total(settings("self-managed"))
    assert more == pytest.approx(3 * prices.PUBLIC_ADDRESS - prices.NAT_GATEWAY - prices.PUBLIC_ADDRESS)


def test_a_public_api_has_a_second_balancer_with_an_address_in_each_zone() -> None:
    lines = {item.what: item for item in prices.bill(settings("self-managed"))}
    assert lines["network load balancer of the API"].count == 2
    alone = {"appCidrs": "[]"}
    more = total(settings("self-managed", availabilityZones="3", **alone)) - total(settings("self-managed", **alone))
    assert more == pytest.approx(prices.PUBLIC_ADDRESS)
    private = total(settings("self-managed")) - total(settings("self-managed", apiSubnets="private"))
    assert private == pytest.approx(prices.LOAD_BALANCER + 2 * prices.PUBLIC_ADDRESS)
    assert "network load balancer of the API" not in {item.what for item in prices.bill(settings("managed"))}
