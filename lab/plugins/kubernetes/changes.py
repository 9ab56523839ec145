"""What differs between two versions of an object, what of it forces a new object, and what drifted in the cluster."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Path = tuple[str | int, ...]

_CONTAINER = (
    "args command env imagePullPolicy lifecycle livenessProbe ports readinessProbe resources securityContext stdin "
    "stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir image"
)
_POD = (
    "affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC hostNetwork "
    "hostPID hostname imagePullSecrets nodeName nodeSelector overhead preemptionPolicy priority priorityClassName "
    "readinessGates restartPolicy runtimeClassName schedulerName securityContext serviceAccount serviceAccountName "
    "shareProcessNamespace subdomain terminationGracePeriodSeconds volumes"
)
_VOLUME = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk glusterfs "
    "hostPath iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume"
)

#: (group, kind) -> fields that cannot change in place. The same as pulumi-kubernetes' provider/pkg/provider/diff.go,
#: with the DaemonSet entry that a misspelt name switches off there.
_IMMUTABLE: dict[tuple[str, str], list[str]] = {
    ("apps", "DaemonSet"): ["spec.selector"],
    ("apps", "Deployment"): ["spec.selector"],
    ("apps", "StatefulSet"): [
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ],
    ("batch", "Job"): ["spec.completions", "spec.parallelism", "spec.selector", "spec.template"],
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ["roleRef"],
    ("rbac.authorization.k8s.io", "RoleBinding"): ["roleRef"],
    ("storage.k8s.io", "StorageClass"): ["parameters", "provisioner"],
    ("", "ConfigMap"): ["data", "binaryData"],
    ("", "Secret"): ["type", "data", "stringData"],
    ("", "PersistentVolume"): [f"spec.{field}" for field in _VOLUME.split()],
    ("", "PersistentVolumeClaim"): ["spec"],
    ("", "Pod"): [
        *(f"spec.{field}" for field in _POD.split()),
        *(f"spec.{part}[*].{field}" for part in ("containers", "initContainers") for field in _CONTAINER.split()),
    ],
    ("", "ResourceQuota"): ["spec.scopes"],
    ("", "Service"): ["spec.clusterIP"],
}


@dataclass(frozen=True)
class Change:
    """One differing leaf. `replace` is whether it needs a new object."""

    path: Path
    kind: Literal["add", "delete", "update"]
    replace: bool = False

    @property
    def name(self) -> str:
        """The path as the engine writes it: `spec.ports[0].port`, `metadata.annotations["a.b/c"]`."""
        return render(self.path)


def render(path: Path) -> str:
    """A path in the engine's notation."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_$][\w$]*", part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def immutable(api_version: str, kind: str, *, mutable: frozenset[str] = frozenset()) -> list[re.Pattern[str]]:
    """Patterns of the fields whose change needs a new object. `mutable`: kinds of which only the type is fixed."""
    group = api_version.rpartition("/")[0]
    fields = _IMMUTABLE.get(("" if group == "core" else group, kind), [])
    if kind in mutable:
        fields = [field for field in fields if field == "type"]
    names = ["metadata.name", "metadata.namespace", *fields]
    return [re.compile(re.escape(name).replace(r"\[\*\]", r"\[\d+\]") + r"(?![\w$])") for name in names]


def compare(old: Any, new: Any, fixed: list[re.Pattern[str]]) -> list[Change]:
    """The leaves that differ from old to new."""
    return [
        Change(path, kind, any(pattern.match(render(path)) for pattern in fixed))
        for path, kind in _differences(old, new, ())
    ]


def _differences(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Literal["add", "delete", "update"]]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            if key not in new:
                yield (*path, key), "delete"
            elif key not in old:
                yield (*path, key), "add"
            else:
                yield from _differences(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(new):
                yield (*path, index), "delete"
            elif index >= len(old):
                yield (*path, index), "add"
            else:
                yield from _differences(old[index], new[index], (*path, index))
    elif old != new:
        yield path, "update"


def drifted(inputs: Any, before: Any, live: Any) -> Any:
    """The inputs, with what moved in the cluster since `before` (the live object as last recorded) taken from `live`.

    Only what the program set is looked at, so defaults and other managers' fields are no drift; and what the server
    writes differently ("1000m" as "1") is none either, since it is compared with what the server wrote before.
    """
    if before == live:
        return inputs
    if isinstance(inputs, Mapping) and isinstance(before, Mapping) and isinstance(live, Mapping):
        return {
            key: drifted(value, before.get(key), live.get(key))
            for key, value in inputs.items()
            if key in live or key not in before
        }
    if isinstance(inputs, list) and isinstance(before, list) and isinstance(live, list):
        if len(inputs) == len(before) == len(live):
            return [drifted(*items) for items in zip(inputs, before, live, strict=True)]
        return live
    return inputs if live is None else live


def merge_patch(old: Any, new: Any) -> Any:
    """The JSON merge patch (RFC 7386) that turns old into new."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif value != old[key]:
            patch[key] = merge_patch(old[key], value)
    return patch
