"""What AWS's errors mean, and how they are told."""

from collections.abc import Iterator
from contextlib import contextmanager

from lab.plugins.aws.types import Type
from lab.plugins.provider import PartialFailure, ProviderError, Resource
from lab.plugins.values import Values

GONE = ("NotFound", "NotFoundException", "ResourceNotFoundException", "NoSuchEntity")


def code(error: Exception) -> str:
    """The AWS error code of `error`; empty for any other error."""
    answer = getattr(error, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def is_gone(error: Exception, kind: Type) -> bool:
    """Whether `error` says that the resource is not there."""
    name = code(error)
    return bool(name) and (name in kind.gone or name in GONE or name.endswith(".NotFound"))


@contextmanager
def told(doing: str, resource: Resource) -> Iterator[None]:
    """Tells what AWS answered beside what was being done; faults of ours pass through."""
    try:
        yield
    except Exception as error:
        if why := reason(error):
            raise ProviderError(" ".join(filter(None, (doing, resource.type, resource.name))) + f": {why}") from error
        raise


@contextmanager
def kept(resource_id: str, state: Values, doing: str, resource: Resource) -> Iterator[None]:
    """As `told`, for a resource that is there and must stay in the state."""
    try:
        with told(doing, resource):
            yield
    except ProviderError as error:
        raise PartialFailure(resource_id, state, str(error)) from error


def reason(error: Exception) -> str:
    """What went wrong, in one line, if it went wrong outside; empty for a fault of ours."""
    if isinstance(error, ProviderError):
        return str(error)
    if name := code(error):
        answer = error.response["Error"]  # type: ignore[attr-defined]
        operation = getattr(error, "operation_name", "")
        return f"{name}: {answer.get('Message', '')} ({operation})"
    if type(error).__name__ == "NoRegionError":
        return "no region is configured: set aws:region or AWS_REGION"
    if type(error).__module__.startswith("botocore"):
        return str(error)
    return ""
