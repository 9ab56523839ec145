"""Names, namespaces and annotations of Kubernetes objects, as Pulumi treats them."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from lab.plugins.values import UNKNOWN, Secret, reveal, secret

Object = dict[str, Any]

AUTONAMED = "pulumi.com/autonamed"
SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT = "pulumi.com/timeoutSeconds"
PATCH_FORCE = "pulumi.com/patchForce"
FIELD_MANAGER = "pulumi.com/patchFieldManager"
WAIT_FOR = "pulumi.com/waitFor"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"

#: Metadata that the API server writes.
_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)

_GROUPS = """
    apps autoscaling batch policy admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io
    certificates.k8s.io coordination.k8s.io discovery.k8s.io events.k8s.io flowcontrol.apiserver.k8s.io
    networking.k8s.io node.k8s.io rbac.authorization.k8s.io resource.k8s.io scheduling.k8s.io storage.k8s.io
"""
_OUTSIDE = """
    APIService CSIDriver CSINode CertificateSigningRequest ClusterRole ClusterRoleBinding ClusterTrustBundle
    CustomResourceDefinition DeviceClass FlowSchema IPAddress IngressClass MutatingAdmissionPolicy
    MutatingAdmissionPolicyBinding MutatingWebhookConfiguration Namespace Node PersistentVolume PriorityClass
    PriorityLevelConfiguration ResourceSlice RuntimeClass ServiceCIDR StorageClass ValidatingAdmissionPolicy
    ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration VolumeAttachment VolumeAttributesClass
"""
#: API groups that every cluster has: no need to ask which of their kinds are namespaced.
BUILT_IN = frozenset({"", *_GROUPS.split()})
#: Their kinds outside namespaces.
CLUSTER_SCOPED = frozenset(_OUTSIDE.split())


def annotations(obj: Object) -> dict[str, Any]:
    """The object's annotations, none if absent or unknown."""
    found = (obj.get("metadata") or {}).get("annotations")
    return found if isinstance(found, dict) else {}


def flag(obj: Object, annotation: str) -> bool:
    """Whether the annotation says yes."""
    return str(annotations(obj).get(annotation, "")).lower() in ("true", "1")


def group(api_version: str) -> str:
    """The API group: `apps` of `apps/v1`, empty for the core group."""
    return api_version.rpartition("/")[0]


def identity(obj: Object) -> str:
    """The resource id: `namespace/name`, or `name` outside namespaces."""
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def title(obj: Object) -> str:
    """How messages name the object: `Deployment default/web`."""
    return f"{obj['kind']} {identity(obj)}" if obj["metadata"].get("name") else str(obj["kind"])


def type_of(token: str) -> tuple[str, str, bool]:
    """`kubernetes:core/v1:NamespacePatch` -> ("v1", "Namespace", True): apiVersion, kind, whether it is a patch."""
    _, module, kind = token.split(":")
    api_version = module.removeprefix("core/")
    patch = kind.endswith("Patch") and kind != "Patch"
    return api_version, kind.removesuffix("Patch") if patch else kind, patch


def token_of(api_version: str, kind: str) -> str:
    """The inverse of `type_of`."""
    return f"kubernetes:{api_version if '/' in api_version else f'core/{api_version}'}:{kind}"


def without_read_only(obj: Object) -> Object:
    """A copy without status and the metadata that only the server writes, so that it can be changed."""
    kept = {key: value for key, value in obj.items() if key != "status" and not key.startswith("__")}
    if isinstance(kept.get("metadata"), dict):
        kept["metadata"] = {key: value for key, value in kept["metadata"].items() if key not in _READ_ONLY}
    return kept


def named(inputs: Object, olds: Object, name: str, seed: bytes) -> Object:
    """The inputs with a name. One that has none keeps its old generated name, or gets `<name>-<8 hex digits>`."""
    meta = dict(inputs.get("metadata") or {})
    if meta.get("name") or meta.get("generateName"):
        return {**inputs, "metadata": meta}
    old = olds.get("metadata") or {}
    if annotations(olds).get(AUTONAMED) == "true" and old.get("name"):
        meta["name"] = old["name"]
    else:
        meta["name"] = f"{name}-{hashlib.sha256(seed).hexdigest()[:8]}"
    if meta.get("annotations") is not UNKNOWN:
        given = meta.get("annotations")
        meta["annotations"] = {**((given.value if isinstance(given, Secret) else given) or {}), AUTONAMED: "true"}
    return {**inputs, "metadata": meta}


def field_manager(urn: str) -> str:
    """The server-side apply manager of a resource.

    Derived from the URN, so that a create that was interrupted recognises its own object when it runs again.
    """
    return "pulumi-kubernetes-" + hashlib.sha256(urn.encode()).hexdigest()[:8]


def managed_by(obj: Object, manager: str) -> bool:
    """Whether the manager has applied fields of this live object."""
    entries = obj["metadata"].get("managedFields") or []
    return any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in entries)


def with_string_data(obj: Object) -> Object:
    """A Secret's data also as stringData, which the API server takes but never returns. Others pass unchanged."""
    if obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
        return obj
    texts = {key: base64.b64decode(value).decode(errors="replace") for key, value in (obj.get("data") or {}).items()}
    return {**obj, "stringData": texts}


def concealed(obj: Object) -> Object:
    """A Secret with data and stringData marked secret. Others pass unchanged."""
    if obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
        return obj
    return {**obj, **{key: Secret(reveal(obj[key])) for key in ("data", "stringData") if key in obj}}


def conceal(data: Any, pattern: Any) -> Any:
    """The data, marked secret wherever the pattern (the inputs it came from) is.

    A list whose length differs from its pattern's is secret as a whole if any part of the pattern is.
    """
    if isinstance(pattern, Secret):
        return data if isinstance(data, Secret) else Secret(data)
    if isinstance(data, Mapping) and isinstance(pattern, Mapping):
        return {key: conceal(value, pattern.get(key)) for key, value in data.items()}
    if isinstance(data, list) and isinstance(pattern, list):
        if len(data) == len(pattern):
            return [conceal(item, part) for item, part in zip(data, pattern, strict=True)]
        return Secret(data) if secret(pattern) else data
    return data
