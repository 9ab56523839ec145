"""Property values on the wire <-> plain Python values.

Plain means dict, list, str, bool, None, int (whole numbers) and float, with two additions: `UNKNOWN` for a value that
a preview cannot know, and `Secret` around a value that the state must encrypt. The signatures that mark the special
objects are the wire format's own (github.com/pulumi/pulumi, sdk/go/common/resource/plugin/rpc.go and sig.go).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Values = dict[str, Any]


class Unknown:
    """The type of `UNKNOWN`: equal to nothing, itself included, so that a diff sees a change."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that state and display must keep secret."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


def known(value: Any) -> bool:
    """Whether no part of `value` is unknown."""
    return not any(leaf is UNKNOWN for leaf in _leaves(value))


def secret(value: Any) -> bool:
    """Whether any part of `value` is secret."""
    return isinstance(value, Secret) or any(secret(part) for part in _parts(value))


def reveal(value: Any) -> Any:
    """`value` without its secret marks."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {name: reveal(part) for name, part in value.items()}
    if isinstance(value, list):
        return [reveal(part) for part in value]
    return value


def from_struct(struct: struct_pb2.Struct) -> Values:
    """Plain values of a wire object; absent optional inputs (null) are left out."""
    values = {name: _from_value(value) for name, value in struct.fields.items()}
    return {name: value for name, value in values.items() if value is not None}


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """The wire object of plain values; None is left out."""
    return struct_pb2.Struct(fields={name: _to_value(value) for name, value in values.items() if value is not None})


def _from_value(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value == UNKNOWN_STRING else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "struct_value":
            return _from_object(value.struct_value)
    return None


def _from_object(struct: struct_pb2.Struct) -> Any:
    fields = struct.fields
    kind = fields[SIGNATURE].string_value if SIGNATURE in fields else None
    if kind == SECRET:
        return Secret(_from_value(fields["value"]))
    if kind == OUTPUT:
        value = _from_value(fields["value"]) if "value" in fields else UNKNOWN
        return Secret(value) if fields["secret"].bool_value else value
    return from_struct(struct)


def _to_value(value: Any) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case Unknown():
            return struct_pb2.Value(string_value=UNKNOWN_STRING)
        case Secret():
            fields = {SIGNATURE: struct_pb2.Value(string_value=SECRET), "value": _to_value(value.value)}
            wire = struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
        case bool():
            wire = struct_pb2.Value(bool_value=value)
        case int() | float():
            wire = struct_pb2.Value(number_value=value)
        case str():
            wire = struct_pb2.Value(string_value=value)
        case Mapping():
            wire = struct_pb2.Value(struct_value=to_struct(value))
        case list() | tuple():
            wire = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_to_value(item) for item in value]))
        case _:
            raise TypeError(f"{type(value).__name__} is no property value")
    return wire


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Secret):
        yield value.value
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Secret | Mapping | list):
        for part in _parts(value):
            yield from _leaves(part)
    else:
        yield value
