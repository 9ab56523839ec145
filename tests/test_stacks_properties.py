"""What holds for any valid config, of either kind: subnets fit, names fit, all is tagged and owned, nothing leaks."""

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from policies.guards import RULES
from stacks import managed, self_managed
from stacks.checks import LOG_DAYS
from stacks.settings import MAX_STACK_NAME, ManagedSettings, SelfManagedSettings, read
from tests.pulumi_mocks import PROJECT, Graph, leaks, run

pytestmark = pytest.mark.usefixtures("tunnels")
AnySettings = ManagedSettings | SelfManagedSettings
#: Types that AWS tags in no way.
UNTAGGED = (":Route", "Association", "Attachment", "RolePolicy", "Alias", "LifecyclePolicy", "RepositoryPolicy")
UNTAGGED += ("BucketVersioning", "Configuration", "BucketPublicAccessBlock", "BucketOwnershipControls", "BucketPolicy")
UNTAGGED += ("BucketObject",)
#: Type -> longest name AWS takes; the provider appends a hyphen and 7 digits where the program gives none.
LIMITS = {
    "aws:iam/role:Role": 64,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:ec2/keyPair:KeyPair": 255,
    "aws:cloudwatch/logGroup:LogGroup": 512,
    "aws:kms/alias:Alias": 256,
    "aws:lb/loadBalancer:LoadBalancer": 32,
    "aws:lb/targetGroup:TargetGroup": 32,
    "aws:s3/bucket:Bucket": 63,
    "aws:ecr/repository:Repository": 256,
    "eks:index:Cluster": 100,
    "aws:eks/nodeGroup:NodeGroup": 63,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
}
ROLES = st.lists(st.sampled_from([f"arn:aws:iam::123456789012:role/r{n}" for n in range(3)]), unique=True)


def blocks(first: int, largest: int, smallest: int) -> st.SearchStrategy[str]:
    """A block within `first`.0.0.0/8."""

    def block(prefix: int, position: int) -> str:
        return str(IPv4Network(((first << 24) + (position >> (32 - prefix) << (32 - prefix)), prefix)))

    return st.builds(block, st.integers(largest, smallest), st.integers(0, 2**24 - 1))


def texts(values: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    return values.map(lambda value: value if isinstance(value, str) else json.dumps(value))


COMMON = {
    "vpcCidr": blocks(10, 16, 22),
    "serviceCidr": blocks(11, 12, 24),
    "apiCidrs": texts(st.lists(blocks(198, 8, 32), min_size=1, max_size=3)),
    "appCidrs": texts(st.lists(blocks(198, 8, 32), max_size=2)),
    "availabilityZones": st.sampled_from(["2", "3"]),
    "workers": st.sampled_from(["1", "2", "5"]),
    "nat": st.sampled_from(["none", "single", "per_zone"]),
    "interfaceEndpoints": texts(st.lists(st.sampled_from(["ecr.api", "ecr.dkr", "sts"]), unique=True)),
    "flowLogDays": st.sampled_from(["0", *(str(days) for days in LOG_DAYS)]),
    "registryImages": texts(st.lists(st.sampled_from(["sample-app", "a", "b.c"]), unique=True)),
    "registryPullRoles": texts(ROLES),
    "appImage": st.just("sample-app:v1.0.0"),
    "ingressHosts": texts(st.lists(st.sampled_from(["a.test", "b.c.test"]), unique=True)),
}
MANAGED = {**COMMON, "kind": st.just("managed"), "adminArns": texts(ROLES)}
MANAGED |= {"nodeMode": st.sampled_from(["managed", "auto"])}
MANAGED |= {"addOnVersions": st.sampled_from(["{}", '{"coredns": "v1.2.3-eksbuild.4"}'])}
MANAGED |= {"controlPlaneLogDays": st.sampled_from([str(days) for days in LOG_DAYS])}
SELF_MANAGED = {
    **COMMON,
    "kind": st.just("self-managed"),
    "podCidr": blocks(12, 8, 20),
    "podNetwork": st.sampled_from(["overlay", "routed"]),
    "controlPlanes": st.sampled_from(["1", "3"]),
    "sshCidrs": texts(st.lists(blocks(198, 8, 32), min_size=1, max_size=3)),
    "machineSubnets": st.sampled_from(["public", "private"]),
    "apiSubnets": st.sampled_from(["public", "private"]),
    "sshVia": st.sampled_from(["endpoint", "cidrs"]),
}
STACK = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,5}(-[A-Za-z0-9]{1,5}){0,4}", fullmatch=True)


def settled(config: dict[str, str], stack: str) -> AnySettings:
    # The reader refuses a gateway that no machine would use, and an API that none would reach.
    if config.get("machineSubnets") == "public":
        config = {**config, "nat": "none"}
    if config["nat"] == "none" and config.get("machineSubnets") == "private":
        config = {**config, "apiSubnets": "private"}
    if config["nat"] == "per_zone":  # pods' routes are in one table
        config = {name: text for name, text in config.items() if name != "podNetwork"}
    if config.get("sshVia") == "endpoint":
        config = {name: text for name, text in config.items() if name != "sshCidrs"}
    return read(config, project=PROJECT, stack=stack)


def build(settings: AnySettings) -> Callable[[], Any]:
    return lambda: managed.build(settings) if isinstance(settings, ManagedSettings) else self_managed.build(settings)


#: Each kind as often as the other; a longest name at times, which chance alone would not give.
ANY = st.builds(
    settled,
    st.one_of(st.fixed_dictionaries(MANAGED), st.fixed_dictionaries(SELF_MANAGED)),
    st.one_of(STACK, st.just("L" * MAX_STACK_NAME)),
)
few = hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(ANY)
@few
def test_any_valid_config_gives_a_sound_graph(settings: AnySettings) -> None:
    graph = run(build(settings), stack=settings.name.removeprefix(f"{PROJECT}-"))
    check_subnets(graph, settings)
    check_owned_and_tagged(graph)
    check_names(graph)
    assert not list(leaks(graph.raw_exports))
    for resource in graph.resources:
        assert not list(leaks(resource.raw)), resource.name
        assert not list(leaks(resource.outputs or {})), resource.name


@given(ANY, ANY)
@hypothesis_settings(few, max_examples=4)
def test_any_two_instances_coexist(one: AnySettings, other: AnySettings) -> None:
    if one.name.lower() == other.name.lower():
        return

    def both() -> None:
        build(one)()
        build(other)()

    graph = run(both)
    assert len({each.urn for each in graph.resources}) == len(graph.resources)
    for kind in ("Repository", "Alias", "eks:index:Cluster"):
        names = [each.inputs["name"] for each in graph.all(kind)]
        assert len(set(names)) == len(names)


def check_subnets(graph: Graph, settings: AnySettings) -> None:
    subnets = [IPv4Network(each.inputs["cidrBlock"]) for each in graph.all("Subnet")]
    assert len(subnets) == 2 * settings.availability_zones
    assert all(subnet.subnet_of(settings.vpc_cidr) for subnet in subnets)
    assert not any(a.overlaps(b) for index, a in enumerate(subnets) for b in subnets[:index])
    assert all(16 <= subnet.prefixlen <= 28 for subnet in subnets), "what AWS takes"


def check_owned_and_tagged(graph: Graph) -> None:
    urns = {each.urn for each in graph.resources}
    for each in graph.resources:
        top = each.type.startswith("twinplane:") and "pulumi:pulumi:Stack" in each.parent
        assert top or each.parent in urns, each.name
        if each.type.startswith(("aws:", "eks:")) and not each.type.endswith(UNTAGGED):
            tags = each.inputs["tags"]
            assert {"Project", "Stack", "ManagedBy"} <= set(tags), each.name
            assert all(len(key) <= 128 and len(value) <= 256 for key, value in tags.items()), each.name


def check_names(graph: Graph) -> None:
    for each in graph.resources:
        limit = LIMITS.get(each.type)
        # To a prefix the provider appends 26 digits.
        name = each.inputs["namePrefix"] + "0" * 26 if "namePrefix" in each.inputs else None
        name = name or each.inputs.get("name") or f"{each.name}-0123abc"
        assert limit is None or len(name) <= limit, f"{each.type} {name}"
        if each.type == "aws:ecr/repository:Repository":
            assert re.fullmatch(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*", name), name


@pytest.mark.parametrize("kind", [MANAGED, SELF_MANAGED])
def test_policies_hold_without_public_machines(kind: dict[str, st.SearchStrategy[str]]) -> None:
    @given(st.fixed_dictionaries(kind))
    @hypothesis_settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def holds(config: dict[str, str]) -> None:
        settings = settled({**config, **({"machineSubnets": "private"} if "machineSubnets" in config else {})}, "s")
        for each in run(build(settings)).resources:
            for rule in RULES:
                assert not list(rule(each.type, each.inputs)), each.name

    holds()
