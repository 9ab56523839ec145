"""The EKS API by botocore's own service model: which operation a request means, and whether its input is valid."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

Json = dict[str, Any]


class EksError(Exception):
    """An error of the API: `code` is the exception's name in the model, `fields` its other members."""

    def __init__(self, code: str, message: str, **fields: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields

    @property
    def status(self) -> int:
        """Returns the HTTP status that the model gives this exception; 404 for what no operation knows."""
        shapes = [each.shape_for(self.code) for each in services() if self.code in each.shape_names]
        return int(shapes[0].metadata["error"]["httpStatusCode"]) if shapes else 404


@cache
def services() -> tuple[ServiceModel, ...]:
    """Returns the models of EKS and of what its nodes ask for their pods, read once."""
    loaded = botocore.session.get_session()
    return tuple(ServiceModel(loaded.get_service_data(name), name) for name in ("eks", "eks-auth"))


_routes: list[tuple[re.Pattern[str], OperationModel]] = []


def parse(method: str, path: str, query: str, body: Json) -> tuple[OperationModel, Json]:
    """Returns the operation and its input. `path` and `query` are still percent-encoded.

    Raises EksError for an unknown route, an unknown or missing member, a wrong type or an unknown enum value.
    """
    if not _routes:
        for operation in (each.operation_model(name) for each in services() for name in each.operation_names):
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.http["requestUri"])
            _routes.append((re.compile(pattern), operation))
    for route, operation in _routes:
        found = route.fullmatch(path)
        if found and operation.http["method"] == method:
            members = {key: unquote(value) for key, value in found.groupdict().items()}
            given = _located(operation, members, parse_qs(query, keep_blank_values=True)) | body
            check(operation, given)
            return operation, given
    raise EksError("UnknownOperationException", f"{method} {path} is no operation of Amazon EKS")


def check(operation: OperationModel, given: Json) -> None:
    """Raises EksError(InvalidParameterException) that names every member that is wrong."""
    if operation.input_shape is None:
        return
    report = ParamValidator().validate(given, operation.input_shape)
    if report.has_errors():
        raise EksError("InvalidParameterException", report.generate_report())
    wrong = _enums(given, operation.input_shape, "")
    if wrong:
        raise EksError("InvalidParameterException", "; ".join(wrong))


def _enums(value: Any, shape: Shape, name: str) -> list[str]:
    if shape.type_name == "structure":
        members: Any = shape.members  # type: ignore[attr-defined]
        return [
            error for key, each in value.items() for error in _enums(each, members[key], f"{name}.{key}".lstrip("."))
        ]
    if shape.type_name == "list":
        return [error for each in value for error in _enums(each, shape.member, name)]  # type: ignore[attr-defined]
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        return [f"{name}: {value!r} is none of {', '.join(allowed)}"]
    return []


def _located(operation: OperationModel, uri: Json, query: dict[str, list[str]]) -> Json:
    """The members that are not in the body, under their names in the model."""
    found: Json = {}
    for name, shape in operation.input_shape.members.items() if operation.input_shape else ():
        wire = shape.serialization.get("name", name)
        place = shape.serialization.get("location")
        if place == "uri":
            found[name] = uri[wire]
        elif place == "querystring" and wire in query:
            values = query[wire]
            found[name] = values if shape.type_name == "list" else _scalar(values[0], shape.type_name)
    return found


def _scalar(text: str, kind: str) -> Any:
    if kind == "boolean":
        return text == "true"
    if kind in {"integer", "long"}:
        return int(text) if text.lstrip("-").isdigit() else text
    return text
