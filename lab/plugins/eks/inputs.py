"""The inputs of a component: which are known, and reading them."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyErrorDetails

Inputs = Mapping[str, Any]


def require(kind: str, name: str, failures: Iterable[tuple[str, str]]) -> None:
    """Raises the engine's error for bad inputs of component `name`, one line for each (input, reason)."""
    errors: list[InputPropertyErrorDetails] = [{"property_path": path, "reason": why} for path, why in failures]
    if errors:
        raise InputPropertiesError(f"{kind} {name}", errors)


def unknown(inputs: Inputs, known: str) -> Iterable[tuple[str, str]]:
    """(input, reason) for each input that is not among the blank-separated `known`."""
    for name in sorted(set(inputs) - set(known.split())):
        close = get_close_matches(name, known.split(), 1)
        yield name, f"not supported by the lab's eks plugin{f'; did you mean {close[0]}?' if close else ''}"


def given(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def joined(*lists: Any) -> pulumi.Output[list[Any]]:
    """Lists that may be outputs, or None, one after the other."""
    return pulumi.Output.all(*[part for part in lists if part is not None]).apply(
        lambda parts: [item for part in parts for item in part]
    )


def merged(*maps: Any) -> pulumi.Output[dict[str, Any]]:
    """Maps that may be outputs, or None, later ones over earlier ones."""
    return pulumi.Output.all(*[part for part in maps if part is not None]).apply(
        lambda parts: {key: value for part in parts for key, value in part.items()}
    )
