"""One argument of a component that another program gave, as plain data."""

from __future__ import annotations

import types
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


def _camel(name: str) -> str:
    """As other programs write it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
