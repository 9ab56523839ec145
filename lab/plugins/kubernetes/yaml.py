"""The components `yaml/v2:ConfigGroup` and `yaml/v2:ConfigFile`: a manifest's objects as child resources."""

import glob
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.provider.experimental.property_value import PropertyValue, ResourceReference
from pulumi.provider.experimental.provider import ConstructRequest, ConstructResponse, Provider
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.rpc import UNKNOWN

from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.client import Object
from twinplane.errors import UsageError

_DEPENDS_ON = "config.kubernetes.io/depends-on"
_CRD = "CustomResourceDefinition"


def decode(text: str, where: str) -> list[Object]:
    """The objects of a YAML or JSON stream, lists flattened. Raises UsageError."""
    try:
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    return [obj for document in documents if document for obj in flattened(document, where)]


def flattened(document: Any, where: str) -> Iterator[Object]:
    """The object itself, or the items of a `...List`, checked for what every object has. Raises UsageError."""
    if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
        raise UsageError(f"{where}: an object has no apiVersion and kind: {str(document)[:80]}")
    if str(document["kind"]).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            kind = str(document["kind"]).removesuffix("List")
            yield from flattened({"apiVersion": document["apiVersion"], "kind": kind, **item}, where)
    elif not (document.get("metadata") or {}).get("name"):
        raise UsageError(f"{where}: a {document['kind']} has no metadata.name")
    else:
        yield document


def ordered(found: list[Object]) -> list[tuple[Object, list[int]]]:
    """Each object with the places of those that must exist before it.

    Namespaces come before what is in them, definitions before their custom resources, and what the annotation
    `config.kubernetes.io/depends-on` names before the annotated. Raises UsageError for a cycle.
    """
    groups = [objects.group(obj["apiVersion"]) for obj in found]
    places = {(groups[at], obj["kind"], objects.identity(obj)): at for at, obj in enumerate(found)}
    defined = {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"]): at for at, obj in enumerate(found) if obj["kind"] == _CRD
    }
    needs: list[list[int]] = []
    for group, obj in zip(groups, found, strict=True):
        before = [places.get(("", "Namespace", obj["metadata"].get("namespace"))), defined.get((group, obj["kind"]))]
        before += [places.get(reference) for reference in _references(obj)]
        needs.append(sorted({at for at in before if at is not None}))
    done: dict[int, None] = {}
    while len(done) < len(found):
        free = [at for at in range(len(found)) if at not in done and all(need in done for need in needs[at])]
        if not free:
            stuck = next(at for at in range(len(found)) if at not in done)
            raise UsageError(f"{objects.title(found[stuck])}: its {_DEPENDS_ON} annotations form a cycle")
        done |= dict.fromkeys(free)
    position = {at: index for index, at in enumerate(done)}
    return [(found[at], [position[need] for need in needs[at]]) for at in done]


def _references(obj: Object) -> Iterator[tuple[str, str, str]]:
    for text in str(objects.annotations(obj).get(_DEPENDS_ON, "")).split(","):
        parts = text.strip().split("/")
        if len(parts) == 5 and parts[1] == "namespaces":
            yield parts[0], parts[3], f"{parts[2]}/{parts[4]}"
        elif len(parts) == 3:
            yield parts[0], parts[1], parts[2]


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
        yield from (_placed(each) for each in flattened(obj, f"{kind}: objs"))
    patterns = [inputs["file"]] if "file" in inputs else inputs.get("files") or []
    for pattern in patterns:
        if "://" in pattern:
            raise UsageError(f"{pattern}: the lab's kubernetes plugin reads files only; download it first")
        paths = sorted(glob.glob(pattern)) if set(pattern) & set("*?[") and "file" not in inputs else [pattern]
        for path in paths:
            if not Path(path).is_file():
                raise UsageError(f"{kind}: no such file {path}")
            yield from (_placed(obj) for obj in decode(Path(path).read_text(), path))
    if inputs.get("yaml"):
        yield from (_placed(obj) for obj in decode(inputs["yaml"], f"{kind}: yaml"))


def _placed(obj: Object) -> Object:
    """With the namespace that the child's name and its dependencies need, where a built-in kind has one."""
    meta = dict(obj["metadata"])
    if objects.group(obj["apiVersion"]) in objects.BUILT_IN and obj["kind"] not in objects.CLUSTER_SCOPED:
        meta.setdefault("namespace", "default")
    return {**obj, "metadata": meta}


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


async def _construct(request: Any, engine: str) -> Any:
    return await ProviderServicer([], "", _Manifests(), engine)._construct(request, None)


#: Component type -> what answers its construct call. helm.sh/v4:Chart joins here.
COMPONENTS: dict[str, Callable[[Any, str], Coroutine[Any, Any, Any]]] = {
    "kubernetes:yaml/v2:ConfigFile": _construct,
    "kubernetes:yaml/v2:ConfigGroup": _construct,
}
