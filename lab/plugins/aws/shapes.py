"""Pulumi's camelCase values <-> AWS's own shapes, by name and without a table of names.

Pulumi names an input as AWS names the parameter, but for its case (cidrBlock, CidrBlock), and flattens a list that can
hold one object only. botocore knows the shape of every operation, so a value is fitted to it: names by case-insensitive
match, numbers and flags from the texts that some inputs carry, one object for a list of one.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lab.plugins.values import Values

#: botocore's scalar shapes -> what makes a value one, from the texts that some of Pulumi's inputs carry.
SCALARS: dict[str, Callable[[Any], Any]] = {
    "boolean": lambda value: value.lower() == "true" if isinstance(value, str) else value,
    "integer": int,
    "long": int,
    "string": lambda value: str(value).lower() if isinstance(value, bool) else str(value),
}


def fit(value: Any, shape: Any) -> Any:
    """`value` as the AWS parameter of botocore's `shape`. Raises KeyError with a name that the shape does not have."""
    match shape.type_name:
        case "structure":
            return _fit_object(value[0] if isinstance(value, list) else value, shape)
        case "list" if isinstance(value, Mapping) and {"Key", "Value"} == set(getattr(shape.member, "members", ())):
            return [{"Key": key, "Value": item} for key, item in value.items()]
        case "list":
            return [fit(item, shape.member) for item in (value if isinstance(value, list) else [value])]
        case "map":
            return {key: fit(item, shape.value) for key, item in value.items()}
        case kind:
            return SCALARS.get(kind, lambda same: same)(value)


def parameters(inputs: Mapping[str, Any], shape: Any, rename: Mapping[str, str]) -> Values:
    """Those of `inputs` that an operation with input `shape` takes, under its names, `rename`d first."""
    members = {name.casefold(): name for name in shape.members}
    found = {}
    for name, value in inputs.items():
        member = members.get(rename.get(name, name).casefold())
        if member is not None:
            found[member] = fit(value, shape.members[member])
    return found


def plain(value: Any) -> Any:
    """An AWS answer in Pulumi's names and kinds: first letters lower, times as ISO 8601 texts."""
    if isinstance(value, Mapping):
        return {camel(name): plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def camel(name: str) -> str:
    """VpcId -> vpcId, DNSName -> dnsName."""
    head = len(name) - len(name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    cut = head - 1 if 1 < head < len(name) else head
    return name[:cut].lower() + name[cut:]


def pick_paths(answer: Mapping[str, Any], paths: Mapping[str, str]) -> Values:
    """The properties at JMESPaths in an AWS answer, as plain values; those that it does not have are left out."""
    import jmespath

    found = {name: plain(jmespath.search(path, answer)) for name, path in paths.items()}
    return {name: value for name, value in found.items() if value is not None}


def pick(answer: Mapping[str, Any], names: Iterable[str], rename: Mapping[str, str]) -> Values:
    """The properties `names` of an AWS answer, as plain values; names that it does not have are left out."""
    members = {name.casefold(): name for name in answer}
    found = {}
    for name in names:
        member = members.get(rename.get(name, name).casefold())
        if member is not None:
            found[name] = plain(answer[member])
    return found


def _fit_object(value: Mapping[str, Any], shape: Any) -> Values:
    members = {name.casefold(): name for name in shape.members}
    fitted = {}
    for name, item in value.items():
        if item is None:
            continue
        member = members.get(name.casefold())
        if member is None:
            raise KeyError(f"{shape.name} has no {name}")
        fitted[member] = fit(item, shape.members[member])
    return fitted
