"""A component whose children are the objects of a manifest, and the plain data of a construct call."""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
from pulumi.provider.experimental.property_value import PropertyValue, PropertyValueType, ResourceReference
from pulumi.provider.experimental.provider import ConstructRequest, ConstructResponse
from pulumi.runtime.rpc import UNKNOWN

from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.client import Object
from lab.plugins.kubernetes.manifest import ordered

#: What of an object is never secret.
_IDENTITY = ("apiVersion", "kind", "metadata")


class _Group(pulumi.ComponentResource):
    """The component with one child per object, named `<prefix>:<namespace>/<name>`."""

    def __init__(
        self, request: ConstructRequest, found: list[Object], prefix: str, after: set[str], secret: bool
    ) -> None:
        super().__init__(request.resource_type, request.name, {}, request.options)
        self.children: list[pulumi.CustomResource] = []
        outside = [pulumi.resource.DependencyResource(urn) for urn in sorted(after)]
        for obj, needs in ordered(found):
            token = objects.token_of(obj["apiVersion"], obj["kind"])
            secrets = ["data", "stringData"] if token == "kubernetes:core/v1:Secret" else []
            hidden = [key for key in obj if key not in _IDENTITY] if secret else secrets
            properties = {key: pulumi.Output.secret(obj[key]) if key in hidden else obj[key] for key in obj}
            options = pulumi.ResourceOptions(
                parent=self,
                depends_on=[*outside, *(self.children[at] for at in needs)],
                additional_secret_outputs=secrets,
            )
            name = f"{prefix}:{objects.identity(obj)}" if prefix else objects.identity(obj)
            self.children.append(pulumi.CustomResource(token, name, properties, options))
        self.register_outputs({"resources": self.children})


async def constructed(
    request: ConstructRequest,
    found: list[Object] | None,
    *,
    prefix: str,
    skip_await: bool,
    secret: bool,
) -> ConstructResponse:
    """The answer to a construct call: one child for each object. None: a preview cannot know them yet.

    `secret`: their text came from a secret, so all but their identity is one.
    """
    after = {urn for value in request.inputs.values() for urn in value.all_dependencies()}
    made = [_skipping(obj) for obj in found or []] if skip_await else found or []
    group = _Group(request, made, prefix, after, secret)
    urn = str(await group.urn.future())
    children = [PropertyValue(ResourceReference(str(await child.urn.future()))) for child in group.children]
    resources = PropertyValue(UNKNOWN) if found is None else PropertyValue(children)
    return ConstructResponse(urn=urn, state={"resources": resources}, state_dependencies={})


def data(value: PropertyValue) -> Any:
    """Plain data; secrets inside objects stay secret, unknowns stay the SDK's mark."""
    return plain(value, _marked)


def _marked(value: PropertyValue) -> Any:
    return pulumi.Output.secret(data(value)) if value.is_secret and not isinstance(value.value, str) else data(value)


def plain(value: PropertyValue, inner: Callable[[PropertyValue], Any] | None = None) -> Any:
    """Plain data, secrets too; `inner` makes the parts of lists and objects."""
    found: Any = value.value
    if isinstance(found, tuple):
        return [(inner or plain)(item) for item in found]
    if hasattr(found, "items"):
        return {key: (inner or plain)(item) for key, item in found.items()}
    if value.type == PropertyValueType.COMPUTED:
        return UNKNOWN
    return int(found) if isinstance(found, float) and found.is_integer() else found


def unknown(found: Any) -> bool:
    """Whether any part of the data is known only after the update."""
    if isinstance(found, Mapping):
        return any(unknown(item) for item in found.values())
    if isinstance(found, list):
        return any(unknown(item) for item in found)
    return bool(found == UNKNOWN)


def _skipping(obj: Object) -> Object:
    marked = {**objects.annotations(obj), objects.SKIP_AWAIT: "true"}
    return {**obj, "metadata": {**obj["metadata"], "annotations": marked}}
