"""Manifests as text: the objects in them, and the order in which they can be made."""

from collections.abc import Iterator
from typing import Any

import yaml

from lab.errors import UsageError
from lab.plugins.kubernetes import objects
from lab.plugins.kubernetes.client import Object

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


def placed(obj: Object, namespace: str = "default") -> Object:
    """With a namespace, if it has none and is of a built-in kind that needs one."""
    meta = dict(obj["metadata"])
    if objects.group(obj["apiVersion"]) in objects.BUILT_IN and obj["kind"] not in objects.CLUSTER_SCOPED:
        meta.setdefault("namespace", namespace)
    return {**obj, "metadata": meta}
