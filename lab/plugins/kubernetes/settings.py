"""The provider's configuration: what it accepts, what it means, and when a change means another cluster."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import UsageError
from lab.plugins.kubernetes import kubeconfig
from lab.plugins.values import UNKNOWN, reveal

#: Accepted names; those without effect here only tune the official provider's client or silence its warnings.
_TEXTS = ("kubeconfig", "context", "cluster", "clusterIdentifier", "namespace")
_FLAGS = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}
_NO_EFFECT = ("kubeClientSettings", "suppressDeprecationWarnings", "suppressHelmHookWarnings", "version")
_NOT_HERE = ("alwaysRender", "helmReleaseSettings", "renderYamlToDirectory")


@dataclass(frozen=True)
class Settings:
    """Names as in pulumi-kubernetes, snake case."""

    kubeconfig: str | None = None
    context: str | None = None
    cluster: str | None = None
    namespace: str | None = None
    delete_unreachable: bool = False
    enable_patch_force: bool = False
    enable_server_side_apply: bool = True
    skip_update_unreachable: bool = False
    upsert_existing_objects: bool = False
    #: Kinds whose data may change in place.
    mutable: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """From a configuration that `problems` accepts. What is not set there comes from the environment."""
        values = reveal(dict(config))
        flags = {name: _flag(values.get(name, os.environ.get(env))) for name, env in _FLAGS.items()}
        kinds = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
        return cls(
            kubeconfig=values.get("kubeconfig"),
            context=values.get("context"),
            cluster=values.get("cluster"),
            namespace=values.get("namespace"),
            delete_unreachable=bool(flags["deleteUnreachable"]),
            enable_patch_force=bool(flags["enablePatchForce"]),
            enable_server_side_apply=flags["enableServerSideApply"] is not False,
            skip_update_unreachable=bool(flags["skipUpdateUnreachable"]),
            upsert_existing_objects=bool(flags["upsertExistingObjects"]),
            mutable=frozenset(kind for kind, name in kinds.items() if flags[name]),
        )


def _flag(value: Any) -> bool | None:
    """Flags arrive as JSON text ("true") from the SDK, as 1 or true from the environment."""
    return None if value is None else str(value).lower() in ("true", "1")


def problems(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with the configuration: [(name, reason)]."""
    found = [(name, "the lab's kubernetes plugin does not have this") for name in _NOT_HERE if name in config]
    known = {*_TEXTS, *_FLAGS, *_NO_EFFECT, *_NOT_HERE}
    found += [(name, "unknown provider input") for name in config if name not in known]
    text = reveal(config.get("kubeconfig"))
    if isinstance(text, str):
        try:
            kubeconfig.active(kubeconfig.load(text), config.get("context"), config.get("cluster"))
        except (UsageError, kubeconfig.Unreachable) as error:
            found.append(("kubeconfig", str(error)))
    return found


def other_cluster(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the change of configuration points to another cluster, so that everything on it must be made anew.

    `clusterIdentifier` decides if both have it; else the server address and CA of the active cluster, and an unknown
    kubeconfig counts as another one. As pulumi-kubernetes' provider/pkg/provider/provider.go has it (DiffConfig).
    """
    if old.get("clusterIdentifier") and new.get("clusterIdentifier"):
        return bool(old["clusterIdentifier"] != new["clusterIdentifier"])
    texts = [reveal(config.get("kubeconfig")) for config in (old, new)]
    if texts[1] is UNKNOWN or any(new.get(name) is UNKNOWN for name in ("context", "cluster")):
        return True
    clusters = []
    for config, text in zip((old, new), texts, strict=True):
        try:
            context, cluster = reveal(config.get("context")), reveal(config.get("cluster"))
            clusters.append(kubeconfig.active(kubeconfig.load(text), context, cluster)["cluster"])
        except (UsageError, kubeconfig.Unreachable):
            return False
    return clusters[0] != clusters[1]
