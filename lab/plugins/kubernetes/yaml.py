"""The components `yaml/v2:ConfigGroup` and `yaml/v2:ConfigFile`: a manifest's objects as child resources.

`python -m lab.plugins.kubernetes.yaml ENGINE` answers one construct call.
"""

import asyncio
import glob
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
from pulumi.provider.experimental.property_value import PropertyValue, ResourceReference
from pulumi.provider.experimental.provider import ConstructRequest, ConstructResponse, Provider
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.rpc import UNKNOWN

from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.client import Object
from lab.plugins.kubernetes.manifest import decode, flattened, ordered, placed
from lab.plugins.protocol import provider_pb2
from twinplane.errors import UsageError


class _Group(pulumi.ComponentResource):
    """The component with one child per object, named `<prefix>:<namespace>/<name>`."""

    def __init__(self, request: ConstructRequest, found: list[Object], prefix: str, after: set[str]) -> None:
        super().__init__(request.resource_type, request.name, {}, request.options)
        self.children: list[pulumi.CustomResource] = []
        outside = [pulumi.resource.DependencyResource(urn) for urn in sorted(after)]
        for obj, needs in ordered(found):
            token = objects.token_of(obj["apiVersion"], obj["kind"])
            secrets = ["data", "stringData"] if token == "kubernetes:core/v1:Secret" else []
            properties = {key: pulumi.Output.secret(obj[key]) if key in secrets else obj[key] for key in obj}
            options = pulumi.ResourceOptions(
                parent=self,
                depends_on=[*outside, *(self.children[at] for at in needs)],
                additional_secret_outputs=secrets,
            )
            name = f"{prefix}:{objects.identity(obj)}" if prefix else objects.identity(obj)
            self.children.append(pulumi.CustomResource(token, name, properties, options))
        self.register_outputs({"resources": self.children})


class _Manifests(Provider):
    """The construct call on its own: all that the SDK's servicer needs of a provider."""

    async def construct(self, request: ConstructRequest) -> ConstructResponse:
        """Raises UsageError."""
        inputs = {name: _data(value) for name, value in request.inputs.items()}
        prefix = inputs.get("resourcePrefix")
        after = {urn for value in request.inputs.values() for urn in value.all_dependencies()}
        unknown = any(_unknown(inputs.get(name)) for name in ("yaml", "files", "file"))
        found = [] if unknown else list(_objects(inputs, request.resource_type))
        if any(value.contains_secret() for name, value in request.inputs.items() if name in ("yaml", "files", "file")):
            found = [_hidden(obj) for obj in found]
        if inputs.get("skipAwait"):
            found = [_skipping(obj) for obj in found]
        group = _Group(request, found, request.name if prefix is None else str(prefix), after)
        urn = str(await group.urn.future())
        children = [PropertyValue(ResourceReference(str(await child.urn.future()))) for child in group.children]
        resources = PropertyValue(UNKNOWN) if unknown else PropertyValue(children)
        return ConstructResponse(urn=urn, state={"resources": resources}, state_dependencies={})


def _objects(inputs: dict[str, Any], kind: str) -> Iterator[Object]:
    for obj in inputs.get("objs") or []:
        yield from (placed(each) for each in flattened(obj, f"{kind}: objs"))
    patterns = [inputs["file"]] if "file" in inputs else inputs.get("files") or []
    for pattern in patterns:
        if "://" in pattern:
            raise UsageError(f"{pattern}: the lab's kubernetes plugin reads files only; download it first")
        paths = sorted(glob.glob(pattern)) if set(pattern) & set("*?[") and "file" not in inputs else [pattern]
        for path in paths:
            if not Path(path).is_file():
                raise UsageError(f"{kind}: no such file {path}")
            yield from (placed(obj) for obj in decode(Path(path).read_text(), path))
    if inputs.get("yaml"):
        yield from (placed(obj) for obj in decode(inputs["yaml"], f"{kind}: yaml"))


def _skipping(obj: Object) -> Object:
    marked = {**objects.annotations(obj), objects.SKIP_AWAIT: "true"}
    return {**obj, "metadata": {**obj["metadata"], "annotations": marked}}


def _hidden(obj: Object) -> Object:
    """Everything but its identity secret, because the text it came from is."""
    return {
        key: value if key in ("apiVersion", "kind", "metadata") else pulumi.Output.secret(value)
        for key, value in obj.items()
    }


def _data(value: PropertyValue) -> Any:
    """Plain data; secrets inside objects stay secret, unknowns stay the SDK's mark."""
    data: Any = value.value
    if isinstance(data, tuple):
        return [_nested(item) for item in data]
    if hasattr(data, "items"):
        return {key: _nested(item) for key, item in data.items()}
    return int(data) if isinstance(data, float) and data.is_integer() else data


def _nested(value: PropertyValue) -> Any:
    return pulumi.Output.secret(_data(value)) if value.is_secret and not isinstance(value.value, str) else _data(value)


def _unknown(data: Any) -> bool:
    return data == UNKNOWN or (isinstance(data, list) and UNKNOWN in data)


#: Component type -> what answers its construct call. helm.sh/v4:Chart joins here.
COMPONENTS: dict[str, type[Provider]] = {
    "kubernetes:yaml/v2:ConfigFile": _Manifests,
    "kubernetes:yaml/v2:ConfigGroup": _Manifests,
}


def main() -> None:
    """Answers the construct call on standard input, on standard output; a failure is the last line of errors."""
    request = provider_pb2.ConstructRequest.FromString(sys.stdin.buffer.read())
    answer, sys.stdout = sys.stdout.buffer, sys.stderr
    try:
        if request.type not in COMPONENTS:
            raise UsageError(f"{request.type}: the lab's kubernetes plugin does not have it")
        servicer = ProviderServicer([], "", COMPONENTS[request.type](), sys.argv[-1])
        response = asyncio.run(servicer._construct(request, None))
    except Exception as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
    answer.write(response.SerializeToString())


if __name__ == "__main__":
    main()
