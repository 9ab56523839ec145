"""Components in the types that Pulumi's analysis of component packages knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Literal

import pulumi
import pulumi_aws as aws
import pytest
from pulumi.provider.experimental.component import ComponentProvider

from components.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.flow_logs import FlowLogs, FlowLogsArgs
from components.network import Network, NetworkArgs
from components.package import offered, plain, restored
from tests.pulumi_mocks import run
from tests.test_components_clusters import managed


@dataclass(frozen=True)
class ThingArgs:
    cidr: IPv4Network
    ids: Sequence[pulumi.Input[str]]
    count: int = 2
    mode: Literal["fast", "slow"] = "fast"
    release: str | None = None


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
    kinds = {name: (each.type.value, each.optional) for name, each in thing.inputs.items()}
    assert kinds == {
        "cidr": ("string", False),
        "ids": ("array", False),
        "count": ("integer", True),
        "mode": ("string", True),
        "release": ("string", True),
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
    with pytest.raises(ValueError, match=r"^cidr: 192.0.2.0/40: '40' is not a valid netmask$"):
        restored("cidr", IPv4Network, "192.0.2.0/40")


def test_what_is_offered_runs_no_command_of_this_projects_folder() -> None:
    def program() -> None:
        Network("n", NetworkArgs(IPv4Network("198.18.0.0/18")))
        FlowLogs("f", FlowLogsArgs("vpc-1", 7))
        ContainerRegistry("r", ContainerRegistryArgs(("app",), "p"))

    for graph in (run(program), managed()):
        assert graph.all("command:local:Command") == [], "another program's folder has no twinplane/run"
