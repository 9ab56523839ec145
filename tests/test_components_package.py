"""Components in the types that Pulumi's analysis of component packages knows."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any, Literal

import pulumi
import pulumi_aws as aws
import pytest
from pulumi.provider.experimental.component import ComponentProvider

from components.eks.managed_cluster import ManagedClusterArgs
from components.network.flow_logs import FlowLogs, FlowLogsArgs
from components.network.network import Network, NetworkArgs
from components.package.argument import restored
from components.package.package import Package, offered, plain
from components.registry.container_registry import ContainerRegistry, ContainerRegistryArgs
from tests.pulumi_mocks import run
from tests.test_components_clusters import managed


@dataclass(frozen=True)
class Wide:
    width: int = 1
    mode: Literal["wide"] = "wide"


@dataclass(frozen=True)
class Round:
    mode: Literal["round"] = "round"


@dataclass(frozen=True)
class ThingArgs:
    cidr: IPv4Network
    ids: Sequence[pulumi.Input[str]]
    count: int = 2
    mode: Literal["fast", "slow"] = "fast"
    release: str | None = None
    size: Wide | Round = field(default_factory=Wide)


class Thing(pulumi.ComponentResource):
    """A thing."""

    ids: list[pulumi.Output[str]]
    by_name: Mapping[str, pulumi.Output[str]]
    made: aws.ec2.Vpc

    def __init__(self, name: str, args: ThingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("test:index:Thing", name, None, opts)
        self.args = args


@pytest.fixture
def thing() -> Any:
    return ComponentProvider([offered(Thing, ThingArgs)], "things", None, "1.0.0")._component_defs["Thing"]


def test_inputs_are_plain_data(thing: Any) -> None:
    kinds = {name: (each.ref or each.type.value, each.optional) for name, each in thing.inputs.items()}
    assert kinds == {
        "cidr": ("string", False),
        "ids": ("array", False),
        "count": ("integer", True),
        "mode": ("string", True),
        "release": ("string", True),
        "size": ("#/types/things:index:WideOrRound", True),
    }
    assert thing.inputs["cidr"].plain
    assert not thing.inputs["ids"].items.plain, "an output of another resource is fine"


def test_outputs_are_plain_data_without_resources(thing: Any) -> None:
    assert {name: each.type.value for name, each in thing.outputs.items()} == {"ids": "array", "byName": "object"}
    assert thing.description == "A thing."


def test_what_has_no_counterpart_is_refused() -> None:
    with pytest.raises(TypeError, match="has no counterpart among Pulumi's types"):
        plain(ThingArgs)


def test_values_are_restored() -> None:
    assert restored("cidr", IPv4Network, "192.0.2.0/24") == IPv4Network("192.0.2.0/24")
    assert repr(restored("count", int, 3.0)) == "3"
    assert restored("ids", Sequence[str], ["a"]) == ["a"]
    assert restored("release", str | None, None) is None
    assert restored("size", Wide | Round, {"width": 3.0}) == Wide(3)
    assert restored("size", Wide | Round, {"mode": "round"}) == Round()


#: Argument of a component of the package -> a value, and what is said of it.
WRONG: list[tuple[type[Any], str, Any, str]] = [
    (NetworkArgs, "nat", "nonsense", "nat: 'nonsense' is none of none, single, per_zone"),
    (NetworkArgs, "zones", 9.0, "zones: 9 is not from 1 to 4"),
    (NetworkArgs, "zones", 2.5, "zones: 2.5 is not a whole number"),
    (NetworkArgs, "cidr", "192.0.2.0/40", "cidr: 192.0.2.0/40: '40' is not a valid netmask"),
    (NetworkArgs, "cidr", "10.0.0.0/8", "cidr: 10.0.0.0/8 is not from /16 to /25"),
    (NetworkArgs, "pod_routes", "both", "podRoutes: 'both' is none of public, private"),
    (NetworkArgs, "flow_log_days", 2.0, "flowLogDays: 2 is none of 0, 1, 3, "),
    (FlowLogsArgs, "days", 0.0, "days: 0 is none of 1, 3, "),
    (ContainerRegistryArgs, "images", [], "images: has 0, and needs at least 1"),
    (ContainerRegistryArgs, "images", ["Sample:v1"], "images: 'Sample:v1' is not of the form of sample-app"),
    (ContainerRegistryArgs, "prefix", "", "prefix: '' is not of the form of twinplane-managed"),
    (ContainerRegistryArgs, "keep_releases", 0.0, "keepReleases: 0 is not from 1 to 1000"),
    (ManagedClusterArgs, "private_subnet_ids", ["subnet-1"], "privateSubnetIds: has 1, and needs at least 2"),
    (ManagedClusterArgs, "kubernetes_version", "1.36.3", "kubernetesVersion: '1.36.3' is not of the form of 1.36"),
    (ManagedClusterArgs, "api_cidrs", ["all"], "apiCidrs: 'all' is not of the form of 10.0.0.0/8"),
    (ManagedClusterArgs, "add_on_versions", {"dns": "v1"}, "addOnVersions: 'dns' is none of aws-ebs-csi-driver, "),
    (ManagedClusterArgs, "nodes", {"mode": "fargate"}, "nodes: mode: 'fargate' is none of managed, auto"),
    (ManagedClusterArgs, "nodes", {"count": 0.0}, "nodes: count: 0 is not from 1 to 450"),
    (ManagedClusterArgs, "nodes", {"instance_type": "large"}, "nodes: instanceType: 'large' is not of the form of t3."),
    (ManagedClusterArgs, "nodes", {"mode": "auto", "count": 2.0}, "nodes: count: says nothing with mode auto; leave"),
]


@pytest.mark.parametrize(("args", "name", "value", "line"), WRONG)
def test_a_wrong_argument_is_told_by_the_name_that_the_caller_wrote(
    args: type[Any], name: str, value: Any, line: str
) -> None:
    with pytest.raises(pulumi.InputPropertyError) as caught:
        restored(name, inspect.get_annotations(args, eval_str=True)[name], value)
    assert caught.value.reason.startswith(line)
    assert "\n" not in caught.value.reason


def test_what_is_known_only_later_is_taken() -> None:
    hint = inspect.get_annotations(ContainerRegistryArgs, eval_str=True)["images"]
    later = [object()]
    assert restored("images", hint, later) is later


def test_wrong_and_unknown_arguments_are_no_fault_of_the_package() -> None:
    package = Package([offered(Thing, ThingArgs)], "things", None, "1.0.0")
    for given, line in (
        ({"cidr": "10.0.0.0/40", "ids": []}, "cidr: 10.0.0.0/40: '40' is not a valid netmask"),
        ({"cidr": "10.0.0.0/16", "ids": [], "mod": "fast"}, "mod: unknown argument; did you mean mode?"),
        ({"cidr": "10.0.0.0/16", "ids": [], "size": {"widht": 1}}, "widht: unknown argument; did you mean width?"),
    ):
        with pytest.raises(pulumi.InputPropertyError) as caught:
            package.construct("a", "things:index:Thing", given)
        assert caught.value.reason == line


def test_what_is_offered_runs_no_command_of_this_projects_folder() -> None:
    def program() -> None:
        Network("n", NetworkArgs(IPv4Network("198.18.0.0/18")))
        FlowLogs("f", FlowLogsArgs("vpc-1", 7))
        ContainerRegistry("r", ContainerRegistryArgs(("app",), "p"))

    for graph in (run(program), managed()):
        assert graph.all("command:local:Command") == [], "another program's folder has no twinplane/run"
