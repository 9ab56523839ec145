"""One argument of a component that another program gave, as plain data."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pulumi


def restored(name: str, hint: Any, value: Any) -> Any:
    """The argument as the component takes it. Numbers arrive as floats. Raises InputPropertyError, which the engine
    prints in one line with the component's name, where the argument is not of its type, or out of its limits."""
    try:
        return _restored(hint, value)
    except ValueError as error:
        raise pulumi.InputPropertyError(_camel(name), f"{_camel(name)}: {error}") from None


def _restored(hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if value is None or isinstance(value, pulumi.Output):
        return value
    if origin is Annotated:
        found = _restored(inner[0], value)
        if line := next((line for limit in inner[1:] if (line := limit.wrong(found))), ""):
            raise ValueError(line)
        return found
    if variants := modes(hint):
        return _variant(variants, value)
    if origin in (Union, types.UnionType) and type(None) in inner:
        return _restored(next(each for each in inner if each is not type(None)), value)
    if origin is Literal and value not in inner:
        raise ValueError(f"{value!r} is none of {', '.join(inner)}")
    if hint is int and value != int(value):
        raise ValueError(f"{value} is not a whole number")
    if hint is IPv4Network:
        try:
            return IPv4Network(value)
        except ValueError as error:
            raise ValueError(f"{value}: {error}") from None
    return int(value) if hint is int else value


def modes(hint: Any) -> dict[str, type[Any]]:
    """Returns the dataclasses of a union, by the one `mode` that each has; nothing for any other type."""
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()
    if not members or not all(dataclasses.is_dataclass(each) for each in members):
        return {}
    return {get_args(inspect.get_annotations(each, eval_str=True)["mode"])[0]: each for each in members}


def _variant(variants: Mapping[str, type[Any]], value: Mapping[str, Any]) -> Any:
    """The dataclass that an object is by its `mode`; the first where it names none."""
    mode = value.get("mode", next(iter(variants)))
    if mode not in variants:
        raise ValueError(f"mode: {mode!r} is none of {', '.join(variants)}")
    hints = inspect.get_annotations(variants[mode], eval_str=True)
    found = {}
    for name, each in value.items():
        if name not in hints:
            raise ValueError(f"{_camel(name)}: says nothing with mode {mode}; leave it out")
        try:
            found[name] = _restored(hints[name], each)
        except ValueError as error:
            raise ValueError(f"{_camel(name)}: {error}") from None
    return variants[mode](**found)


def _camel(name: str) -> str:
    """As other programs write it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
