"""How a component of this program is offered to other programs, whose arguments come as plain data."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import types
from collections.abc import Awaitable, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin

import pulumi
from pulumi.provider import ConstructResult
from pulumi.provider.experimental.analyzer import ComponentDefinition, PropertyDefinition
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from components.package.argument import modes, restored


def offered(component: type[Any], args: type[Any]) -> type[pulumi.ComponentResource]:
    """A class that does what `component` does, in the types that Pulumi's type analysis knows.

    The arguments' dataclass becomes a dictionary's type; blocks of addresses become text, sequences lists. Resources
    among the outputs are left out: the consumer has its own. Raises TypeError for an argument that has no such type.
    """
    hints = inspect.get_annotations(args, eval_str=True)
    shape = {}
    for field in dataclasses.fields(args):
        kind = plain(hints[field.name])
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        shape[field.name] = kind if needed else NotRequired[kind]
    said = inspect.get_annotations(component, eval_str=True)
    outputs = {name: output(hint) for name, hint in said.items() if not _resource(hint)}

    class Offered(pulumi.ComponentResource):
        def __init__(self, name: str, args: Any, opts: pulumi.ResourceOptions | None = None) -> None:
            # The engine knows the component by its own type; this class only speaks for it.
            made = component(name, arguments(args), opts)
            self.__dict__.update(made.__dict__)

    def arguments(given: Mapping[str, Any]) -> Any:
        return args(**{name: restored(name, hints[name], value) for name, value in given.items()})

    Offered.__name__ = Offered.__qualname__ = component.__name__
    Offered.__doc__ = component.__doc__
    Offered.__module__ = component.__module__
    Offered.__annotations__ = outputs
    Offered.__init__.__annotations__ = {"args": TypedDict(args.__name__, shape)}  # type: ignore[operator]
    return Offered


def plain(hint: Any) -> Any:
    """The type of an argument as plain data has it, without its limits."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    origin, inner = get_origin(hint), get_args(hint)
    if hint in (str, int, float, bool, Any):
        return hint
    if hint is IPv4Network or origin is Literal:
        return str
    if origin in (list, Sequence):
        return list[plain(inner[0])]  # type: ignore[misc]
    if origin in (dict, Mapping):
        return dict[str, plain(inner[1])]  # type: ignore[misc]
    if origin in (Union, types.UnionType):
        return _plain_union(hint)
    raise TypeError(f"{hint} has no counterpart among Pulumi's types")


def _plain_union(hint: Any) -> Any:
    inner = get_args(hint)
    if any(get_origin(each) is Awaitable for each in inner):
        return pulumi.Input[plain(inner[0])]  # type: ignore[misc]
    if len(inner) == 2 and type(None) in inner:
        return plain(next(each for each in inner if each is not type(None))) | None
    if variants := modes(hint).values():
        hints = [inspect.get_annotations(each, eval_str=True) for each in variants]
        shape = {name: NotRequired[plain(kind)] for each in hints for name, kind in each.items()}
        return TypedDict("Or".join(each.__name__ for each in variants), shape)  # type: ignore[operator]
    raise TypeError(f"{hint} has no counterpart among Pulumi's types")


def output(hint: Any) -> Any:
    """The type of an output: always an Output, of plain data."""
    return pulumi.Output[_inside(hint)]  # type: ignore[misc]


class Package(ComponentProvider):
    """Components whose wrong arguments are told in one line, and not as a fault of the package."""

    def map_inputs(self, inputs: Any, component_def: ComponentDefinition) -> Any:
        self._check_names(inputs, component_def.inputs)
        return super().map_inputs(inputs, component_def)

    def _check_names(self, inputs: Mapping[str, Any], properties: Mapping[str, PropertyDefinition]) -> None:
        """Raises InputPropertyError for an argument, or a part of one, that the component does not have."""
        for name, value in inputs.items():
            if name not in properties:
                near = difflib.get_close_matches(name, properties, n=1)
                known = f"did you mean {near[0]}?" if near else f"known: {', '.join(properties)}"
                raise pulumi.InputPropertyError(name, f"{name}: unknown argument; {known}")
            if (
                isinstance(value, dict)
                and properties[name].ref
                and (kind := self.get_type_definition(properties[name]))
            ):
                self._check_names(value, kind.properties)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Any,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if isinstance(error.inner, pulumi.InputPropertyError):
                raise error.inner from None
            if isinstance(error.inner, pulumi.RunError):  # the same, of what is known only when AWS was asked
                raise pulumi.InputPropertyError("", str(error.inner)) from None
            raise


def _inside(hint: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is pulumi.Output:
        return _inside(inner[0])
    if hint is object:
        return Any
    if origin in (list, Sequence):
        return list[_inside(inner[0])]  # type: ignore[misc]
    if origin in (dict, Mapping):
        return dict[str, _inside(inner[1])]  # type: ignore[misc]
    return plain(hint)


def _resource(hint: Any) -> bool:
    return any(isinstance(each, type) and issubclass(each, pulumi.Resource) for each in (hint, *get_args(hint)))
