"""What an entry in a service's table says, and what its functions get.

    "aws:ec2/internetGateway:InternetGateway": Type(
        "ec2",
        Inputs(optional="vpcId tags"),
        create="create_internet_gateway",
        result="InternetGateway.InternetGatewayId",
        arn="internet-gateway/{id}",
        read=describe("describe_internet_gateways", "InternetGateways", "InternetGatewayIds"),
        update=(Update("vpcId", attach, on_create=True),),
        delete="delete_internet_gateway",
        id_parameter="InternetGatewayId",
        tagging=EC2, tag_kind="internet-gateway",
        outputs="ownerId",
        paths={"vpcId": "Attachments[0].VpcId"},
    )

The rules that need no words in a table: an input whose change no `update` covers means a new resource; an output is
what the AWS answer calls by the same name; AWS parameters get the inputs of the same name (see lab.plugins.aws.shapes).
"""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from lab.plugins.aws.session import Session
from lab.plugins.aws.shapes import parameters
from lab.plugins.provider import ProviderError, Resource
from lab.plugins.values import UNKNOWN, Values


@dataclass(frozen=True)
class Inputs:
    """The inputs of a resource type or of a block (nested object, or list of them if in `lists`), as blank-separated
    names.

    `auto` is the input that gets the resource's name and 7 random digits when it and `namePrefix` are absent, cut to
    `auto_length`, in lower case with `auto_lower`.
    """

    required: str = ""
    optional: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    blocks: Mapping[str, "Inputs"] = field(default_factory=dict)
    lists: str = ""
    auto: str = ""
    auto_length: int = 255
    auto_lower: bool = False

    @cached_property
    def names(self) -> frozenset[str]:
        auto = [self.auto] if self.auto else []
        return frozenset([*self.required.split(), *self.optional.split(), *self.defaults, *self.blocks, *auto])

    def flat(self, name: str, value: Any) -> Any:
        """`value` of AWS as the input `name` has it: AWS answers with a list where Pulumi has the one object in it."""
        if name in self.blocks and name not in self.lists.split() and isinstance(value, list):
            return value[0] if value else None
        return value

    def failures(self, values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
        """(path, reason) for each unknown, missing or misshapen input."""
        for name in sorted(set(values) - self.names - {"__defaults"}):
            close = get_close_matches(name, self.names, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(self.names))}"
            yield path + name, f"is no input that the lab's aws plugin knows here; {hint}"
        for name in self.required.split():
            if values.get(name) is None:
                yield path + name, "is required"
        for name, block in self.blocks.items():
            value = values.get(name)
            if value is None or value is UNKNOWN:
                continue
            if isinstance(value, list) != (name in self.lists.split()):
                yield path + name, f"must be {'a list of objects' if name in self.lists.split() else 'an object'}"
                continue
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                place = f"{path}{name}[{index}]" if isinstance(value, list) else path + name
                if isinstance(item, Mapping):
                    yield from block.failures(item, place + ".")
                elif item is not UNKNOWN:
                    yield place, "must be an object"


@dataclass(frozen=True)
class Call:
    """One operation on one resource: everything that a table's function needs.

    `inputs` are the new inputs (on delete: the last ones), `old` the inputs before, `state` the last outputs,
    `tags` the new tags with the provider's default tags; `replacement` says that another one is there until this is.
    """

    session: Session
    type: "Type"
    resource: Resource
    cancelled: threading.Event
    deadline: float
    inputs: Values
    id: str = ""
    old: Values = field(default_factory=dict)
    state: Values = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    replacement: bool = False

    @property
    def region(self) -> str:
        return str(self.inputs.get("region") or self.state.get("region") or self.session.region)

    @property
    def api(self) -> Any:
        """The botocore client of the type's service."""
        return self.session.client(self.type.service, self.region)

    def arn(self, path: str) -> str:
        """The ARN of `path` in the type's service."""
        return self.session.arn(self.type.service, path, "" if self.type.service == "iam" else self.region)

    def send(self, operation: str, *names: str, **extra: Any) -> Values:
        """Calls the client's `operation` with those inputs (of `names`, if given) that it has parameters for; `extra`
        parameters go on top, and None takes one away."""
        model = self.api.meta.service_model.operation_model(self.api.meta.method_to_api_mapping[operation])
        inputs = {name: self.inputs[name] for name in names or self.inputs if self.inputs.get(name) is not None}
        inputs.pop("tags", None)
        shaped = {name.casefold() for name in extra}  # what the caller shaped itself need not fit
        inputs = {name: v for name, v in inputs.items() if self.type.rename.get(name, name).casefold() not in shaped}
        sent = {**parameters(inputs, model.input_shape, self.type.rename), **extra}
        return dict(getattr(self.api, operation)(**{name: value for name, value in sent.items() if value is not None}))

    def token(self) -> str:
        """A client token: the same for every attempt to make the same resource, so that after a crash the next run
        finds what the last one made; another one when the old resource lives and a second is wanted."""
        again = secrets.token_hex(8) if self.replacement else ""
        text = json.dumps([self.resource.urn, self.inputs, again], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def changed(self, name: str) -> bool:
        return bool(self.old.get(name) != self.inputs.get(name))

    def until(self, ready: Callable[[], Any], what: str | Callable[[], str]) -> Any:
        """Asks `ready` until it answers something true, and gives that; ProviderError, with `what` was waited for, when
        the time is over."""
        pause = 0.1
        while True:
            if answer := ready():
                return answer
            if time.monotonic() > self.deadline:
                raise ProviderError(f"{what if isinstance(what, str) else what()}: not within the time given")
            if self.cancelled.wait(pause):
                raise ProviderError(f"{what if isinstance(what, str) else what()}: cancelled")
            pause = min(pause * 1.5, 3)


Function = Callable[[Call], Any]


@dataclass(frozen=True)
class Update:
    """`apply` follows changes of the inputs `names`, of which "<block>.tags" are a block's tags alone; with `on_create`
    also when they are given at first, because the create operation does not take them."""

    names: str
    apply: Function
    on_create: bool = False


@dataclass(frozen=True)
class Tagging:
    """How a service takes tags: `create` gives the create operation's parameters for (kind, tags), `add` and `remove`
    change the tags of a living resource, `read` finds them in an answer (None: they are not in it)."""

    create: Callable[[str, Mapping[str, str]], Values]
    add: Callable[[Call, Mapping[str, str]], Any]
    remove: Callable[[Call, list[str]], Any]
    read: Callable[[Mapping[str, Any]], dict[str, str]]


@dataclass(frozen=True)
class Type:
    """A resource type.

    `create` is an operation, its new id at `result` in the answer, or a function that returns the id. `read` gives the
    AWS answer, or None when the resource is gone. Of the outputs, `outputs` are in the answer by their own name or
    that of `rename` (which holds for inputs and parameters too), `paths` at a JMESPath, `computed` by a question of
    their own, and `arn` is made from "noun/{id}" where the answer has none.
    `delete` is an operation that takes the id as `id_parameter`, or a function; what it answers with one of `gone` is
    fine, with one of `busy` is tried again, where AWS's words have `busy_words`. `replace_also` names inputs that, with
    these inputs, do not update in place after all. `local` inputs never reach AWS. `volatile` outputs are new after any
    update.
    `adopt` finds the id of what an interrupted run of the same resource made, when create answers that it is there.
    """

    service: str
    inputs: Inputs
    create: str | Function
    read: Function
    delete: str | Function
    result: str = ""
    id_parameter: str = ""
    ready: Function | None = None
    update: tuple[Update, ...] = ()
    tagging: Tagging | None = None
    tag_kind: str = ""
    outputs: str = ""
    arn: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, Callable[[Call, Mapping[str, Any]], Any]] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    replace_also: Callable[[Mapping[str, Any]], set[str]] = lambda _: set()
    local: str = ""
    volatile: str = ""
    secret: str = ""
    gone: tuple[str, ...] = ()
    busy: tuple[str, ...] = ("DependencyViolation",)
    busy_words: str = ""
    adopt: Function | None = None
    timeout: float = 1200

    def replacing(self, changed: Iterable[str], inputs: Mapping[str, Any]) -> list[str]:
        """Those of the changed inputs that need a new resource."""
        covered = {name for update in self.update for name in update.names.split()}
        covered |= {"tags", "tagsAll", *self.local.split()}
        covered -= self.replace_also(inputs)
        return [name for name in changed if name not in covered]

    @cached_property
    def names(self) -> list[str]:
        """Every property that an AWS answer can give."""
        hidden = {"tags", *self.local.split(), *self.paths, *self.computed}
        return sorted({*self.inputs.names, *self.outputs.split()} - hidden)

    @cached_property
    def unknown(self) -> set[str]:
        """Outputs that nobody knows before the resource is there."""
        return {
            *self.outputs.split(),
            *self.paths,
            *self.computed,
            *self.volatile.split(),
            *(["arn"] if self.arn else []),
        }


def describe(operation: str, found: str, parameter: str, *, each: str = "") -> Function:
    """A `read` by id for operations that list: `operation(parameter=[id])[found][0]`, one level deeper at `each`."""

    def read(call: Call) -> Values | None:
        answer = getattr(call.api, operation)(**{parameter: [call.id]})[found]
        if each:
            answer = [item for outer in answer for item in outer[each]]
        return answer[0] if answer else None

    return read


def at(answer: Any, path: str) -> Any:
    """The value at a dotted `path` in an answer."""
    for name in path.split("."):
        answer = answer[int(name)] if isinstance(answer, list) else answer[name]
    return answer
