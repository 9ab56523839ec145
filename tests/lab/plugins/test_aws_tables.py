"""The tables of the aws plugin say what pulumi-aws says: same types, same input and output names."""

import importlib
import inspect
import re
from typing import Any

import pytest

from lab.plugins.aws.invokes import FUNCTIONS
from lab.plugins.aws.provider import TYPES
from lab.plugins.aws.types import Inputs


def sdk_class(token: str) -> Any:
    """aws:ec2/routeTable:RouteTable -> pulumi_aws.ec2.RouteTable."""
    _, module, name = token.split(":")
    package = module.split("/")[0]
    return getattr(importlib.import_module(f"pulumi_aws.{package}"), name)


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def wire(owner: Any, name: str) -> str:
    """The wire name of a property: what the SDK says, where the rule does not give it."""
    getter = getattr(getattr(owner, name, None), "fget", None)
    return str(getattr(getter, "_pulumi_name", camel(name)))


def arguments(token: str) -> dict[str, bool]:
    """Input -> whether it is required."""
    cls = sdk_class(token)
    module = importlib.import_module(cls.__module__)
    # InitArgs where a block of another type has the name already.
    args = getattr(module, f"{cls.__name__}InitArgs", None) or getattr(module, f"{cls.__name__}Args")
    parameters = list(inspect.signature(args.__init__).parameters.values())[1:]
    return {wire(args, p.name): p.default is inspect.Parameter.empty for p in parameters}


def outputs(token: str) -> set[str]:
    cls = sdk_class(token)
    return {wire(cls, name) for name, member in inspect.getmembers(cls) if isinstance(member, property)}


@pytest.mark.parametrize("token", TYPES)
def test_inputs_and_outputs_are_those_of_the_sdk(token: str) -> None:
    known, required = arguments(token), set(TYPES[token].inputs.required.split())
    assert set(TYPES[token].inputs.names) <= set(known)
    # userData and others that AWS needs, but the SDK leaves to the launch template, may be asked for on top.
    assert {name for name, needed in known.items() if needed} <= required
    assert TYPES[token].unknown | set(TYPES[token].names) <= outputs(token)


@pytest.mark.parametrize("token", TYPES)
def test_names_in_a_table_are_names_of_its_type(token: str) -> None:
    kind = TYPES[token]
    properties = kind.inputs.names | set(kind.outputs.split()) | set(kind.paths) | set(kind.computed) | {"arn"}
    assert set(kind.rename) <= properties
    assert set(kind.local.split()) <= kind.inputs.names
    for update in kind.update:
        assert {name.removesuffix(".tags") for name in update.names.split()} <= kind.inputs.names


def block_classes(token: str) -> dict[str, Any]:
    module = importlib.import_module(sdk_class(token).__module__.rsplit(".", 1)[0] + "._inputs")
    return {name: value for name, value in vars(module).items() if inspect.isclass(value) and name.endswith("Args")}


def check_blocks(token: str, inputs: Inputs, prefix: str, classes: dict[str, Any]) -> None:
    for name, block in inputs.blocks.items():
        singular = re.sub("s$", "", name)
        found = next(
            (
                classes[candidate]
                for part in (name, singular)
                if (candidate := f"{prefix}{part[:1].upper()}{part[1:]}Args") in classes
            ),
            None,
        )
        assert found is not None, f"{token}: no block {name}"
        parameters = list(inspect.signature(found.__init__).parameters.values())[1:]
        assert block.names <= {wire(found, p.name) for p in parameters}
        check_blocks(token, block, found.__name__.removesuffix("Args"), classes)


@pytest.mark.parametrize("token", TYPES)
def test_blocks_are_those_of_the_sdk(token: str) -> None:
    check_blocks(token, TYPES[token].inputs, sdk_class(token).__name__, block_classes(token))


@pytest.mark.parametrize("token", FUNCTIONS)
def test_arguments_of_functions_are_those_of_the_sdk(token: str) -> None:
    module, name = token.split(":")[1:]
    package = module.split("/")[0]
    snake = re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match[1].lower(), name)
    where = importlib.import_module("pulumi_aws" if package == "index" else f"pulumi_aws.{package}")
    parameters = inspect.signature(getattr(where, snake)).parameters
    assert set(FUNCTIONS[token].inputs.names) <= {camel(parameter) for parameter in parameters}
