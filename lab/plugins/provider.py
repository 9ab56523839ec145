"""A resource provider in plain Python: subclass `Provider`, then `lab.plugins.resource_service.main(MyProvider)`.

The engine's calls become method calls with plain values (see lab.plugins.values), each in a thread of its own; what a
method raises becomes the error that the engine shows beside the resource.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lab.plugins.server import Log
from lab.plugins.values import Values


class Invalid(Exception):
    """Inputs that cannot be right: [(input, reason)]. The engine shows each beside its resource; nothing is changed."""

    def __init__(self, failures: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" if name else reason for name, reason in failures))
        self.failures = failures


class ProviderError(Exception):
    """An operation that failed and left nothing behind, told in one line."""


class PartialFailure(Exception):
    """An operation that made or changed the resource and then failed: the engine keeps `state` and shows `reason`.

    A read says what the `inputs` are now, too.
    """

    def __init__(self, resource_id: str, state: Values, reason: str, inputs: Values | None = None) -> None:
        super().__init__(reason)
        self.id, self.state, self.reason, self.inputs = resource_id, state, reason, inputs


class Resource(NamedTuple):
    """Which resource a call is about."""

    urn: str
    type: str
    name: str

    @classmethod
    def of(cls, urn: str) -> "Resource":
        """From a URN, `urn:pulumi:stack::project::parent$type::name`."""
        path, name = urn.split("::", 3)[2:] if urn.count("::") >= 3 else (urn, urn)
        return cls(urn, path.rsplit("$", 1)[-1], name)


@dataclass(frozen=True)
class Diff:
    """Which inputs changed, which of them need a new resource, and whether the old one must go first."""

    changed: Sequence[str] = ()
    replaces: Sequence[str] = ()
    delete_first: bool = False
    #: Path of each leaf that changes -> "add", "delete" or "update": what a program's replace_on_changes may name.
    leaves: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One create, update or delete. `timeout` in seconds, 0 for the provider's default; old parts empty on create."""

    resource: Resource
    id: str = ""
    inputs: Values = field(default_factory=dict)
    old_inputs: Values = field(default_factory=dict)
    state: Values = field(default_factory=dict)
    preview: bool = False
    timeout: float = 0


class Provider:
    """What a plugin can do. The base knows no resources: each method says so or does nothing."""

    version = "0.0.0"
    #: Whether values arrive with their `Secret` marks. If not, the engine marks outputs named like secret inputs.
    accept_secrets = False
    #: Calls served at once.
    threads = 64

    def __init__(self, log: Log) -> None:
        self.log = log
        self.cancelled = threading.Event()

    def check_config(self, config: Values) -> Values:
        """The provider's configuration, checked. Raises Invalid."""
        return config

    def configure(self, config: Values) -> None:
        """Takes the checked configuration; called once, before any resource."""

    def check(self, resource: Resource, old: Values, new: Values, seed: bytes) -> Values:  # noqa: ARG002
        """The inputs of `resource` with defaults and automatic names. Raises Invalid."""
        raise Invalid([("", f"unknown resource type {resource.type}")])

    def diff(self, change: Change) -> Diff:  # noqa: ARG002
        """What applying `change.inputs` over `change.old_inputs` and `change.state` would do."""
        return Diff()

    def create(self, change: Change) -> tuple[str, Values]:
        """Makes the resource; its id and outputs (UNKNOWN where a preview cannot know)."""
        raise NotImplementedError

    def read(self, change: Change) -> tuple[Values, Values] | None:
        """The live (inputs, outputs) of `change.id`; None when it is gone."""
        return change.old_inputs, change.state

    def update(self, change: Change) -> Values:
        """Changes the resource in place; its outputs."""
        raise NotImplementedError

    def delete(self, change: Change) -> None:
        """Removes the resource; fine when it is gone already."""

    def invoke(self, token: str, args: Values) -> Values:  # noqa: ARG002
        """The result of function `token`."""
        raise Invalid([("", f"unknown function {token}")])

    def cancel(self) -> None:
        """Makes running calls end soon."""
        self.cancelled.set()
