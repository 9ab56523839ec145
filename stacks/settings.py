"""The one reader of the stack's config. Every error is found in one pass and reported together.

A key is one entry in keys.py, one effect in changes.py, and one field here, with the key's name in snake case.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Literal

import pulumi

from components.base.chart_source import ChartSource
from components.machines.machine_image import MachineImage
from components.network.network import Nat, Side
from stacks import changes, contradictions, living, other_keys, parsers, support
from stacks.keys import KEYS, REQUIRED
from stacks.surroundings import Surroundings, look
from twinplane import secret_tmpdir
from twinplane.errors import UsageError
from twinplane.outputs import KINDS, Kind


@dataclass(frozen=True)
class Settings:
    """What both kinds read. keys.py says what each field means; name and record are no keys."""

    #: `<project>-<stack>`: prefix of every resource name, and the cluster's name.
    name: str
    #: What the next run compares itself with: changes.entries, the name and the region.
    record: Mapping[str, str]
    kind: Kind
    kubernetes_version: str
    vpc_cidr: IPv4Network
    availability_zones: int
    nat: Nat
    interface_endpoints: tuple[str, ...]
    flow_log_days: int
    service_cidr: IPv4Network
    workers: int
    instance_type: str
    api_cidrs: tuple[str, ...]
    app_image: str
    app_cidrs: tuple[str, ...]
    registry_images: tuple[str, ...]
    registry_pull_roles: tuple[str, ...]
    registry_keep_releases: int
    ingress_hosts: tuple[str, ...]
    ingress_certificate: str | None
    ingress_scheme: str
    ingress_controller_chart: ChartSource
    ingress_controller_image: str | None
    ingress_controller_values: Mapping[str, Any]
    descheduler_image: str | None
    storage: str
    deletion_protection: bool


@dataclass(frozen=True)
class ManagedSettings(Settings):
    """The EKS kind."""

    node_mode: Literal["managed", "auto"]
    allow_replacement: bool
    node_release_version: str | None
    admin_arns: tuple[str, ...]
    viewer_arns: tuple[str, ...]
    control_plane_log_days: int
    add_on_versions: Mapping[str, str]


@dataclass(frozen=True)
class SelfManagedSettings(Settings):
    """The kubeadm kind."""

    pod_cidr: IPv4Network
    pod_network: str
    control_planes: int
    machine_subnets: Side
    api_subnets: str
    ssh_via: str
    ssh_cidrs: tuple[str, ...]
    machine_image: MachineImage
    cloud_controller: str
    cloud_controller_image: str | None
    cloud_controller_environment: Mapping[str, str]
    network_policies: bool
    etcd_volume_size: int
    backup_days: int
    backups_on_destroy: str
    playbook_vars: Mapping[str, Any]


class ConfigErrors(pulumi.RunError):
    """All errors of the config, one line each. The engine prints them without a traceback."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


#: An IAM role's name has 64 characters; the longest here is `<project>-<stack>-control-plane-0123abc`.
MAX_NAME = 42
#: Letters, digits and hyphens are what EKS, KMS' aliases and S3 all take. Two hyphens together, or one at the end, ECR
#: takes in no repository's name; no security group's begins with sg-
#: (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html).
_NAME = re.compile(r"(?!sg-)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.IGNORECASE | re.ASCII)


def load() -> ManagedSettings | SelfManagedSettings:
    """The config of the running stack. Raises ConfigErrors, and pulumi.RunError where this machine cannot hold secrets
    in memory, or AWS takes no credentials."""
    try:
        secret_tmpdir.check()
    except UsageError as error:
        raise pulumi.RunError(str(error)) from None
    config = {**pulumi.runtime.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    prefix = f"{pulumi.get_project()}:"
    ours = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    ours = other_keys.misplaced(config, pulumi.get_project(), KEYS) | ours
    others = other_keys.errors(config, pulumi.get_project(), pulumi.get_stack(), KEYS)
    around, alive = look(), support.actual(living.living())
    try:
        found = read(ours, project=pulumi.get_project(), stack=pulumi.get_stack(), around=around, alive=alive)
    except ConfigErrors as error:
        raise ConfigErrors([*others, *error.lines]) from None
    if others:
        raise ConfigErrors(others)
    if line := support.warning(found.kind, found.kubernetes_version, around.ends, around.today):
        pulumi.warn(line)
    return found


def read(
    config: Mapping[str, str],
    *,
    project: str,
    stack: str,
    around: Surroundings | None = None,
    alive: Mapping[str, str] | None = None,
) -> ManagedSettings | SelfManagedSettings:
    """Text of each key, without its namespace, to settings. Raises ConfigErrors with every error found.

    `alive` is the record of the stack's living cluster, None where there is none.
    """
    kind, full, around = _kind(config), f"{project}-{stack}", around or Surroundings()
    values, errors = _values(config, kind, project)
    found = contradictions.find(values, around, alive=alive is not None)
    if text := _version(kind, values, alive or {}, around, f"{project}:kubernetesVersion"):
        found["kubernetesVersion"] = text
    if _unpublished(values):
        registry = f"{around.account}.dkr.ecr.{around.region or 'REGION'}.amazonaws.com/{full.lower()}"
        set_it = f"pulumi config set {project}:appImage {registry}/{values['appImage']}"
        found["appImage"] = f"{values['appImage']} is in no registry: {set_it}"
    errors |= {name: text for name, text in found.items() if name not in errors}
    record = changes.entries(kind, values) if kind is not None else {}
    if kind is not None and alive is not None:
        refused = changes.refusals(kind, alive, record, replacing=values.get("allowReplacement", False))
        errors |= {name: text for name, text in refused.items() if name not in errors}

    lines = [f"config {project}:{name}: {text}" for name, text in errors.items()]
    lines += [f"config aws:defaultTags: {text}" for text in parsers.tags(around.default_tags)]
    if not _NAME.fullmatch(full) or len(full) > MAX_NAME:
        lines.append(
            f"project {project}, stack {stack}: {full}, which all is named after, must be letters, digits and single "
            f"hyphens, a letter first, not sg-, at most {MAX_NAME}: choose a shorter or plainer name for one of them"
        )
    own = {"name": full, **({"region": around.region} if around.region else {})}
    lines += changes.moves(alive or {}, own)
    if lines:
        raise ConfigErrors(lines)
    fields = {_snake(name): value for name, value in values.items()}
    kind_class = ManagedSettings if kind == "managed" else SelfManagedSettings
    return kind_class(name=full, record={**record, **own}, **fields)


def _values(config: Mapping[str, str], kind: Kind | None, project: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the values that are right by themselves, and what is wrong with the others, by key."""
    errors: dict[str, str] = {key: _unknown(key) for key in config if key not in KEYS}
    values: dict[str, Any] = {}
    for name, key in KEYS.items():
        if kind is not None and kind not in key.kinds:
            if name in config:
                errors[name] = f"only for kind {key.kinds[0]}"
        elif name in config:
            try:
                values[name] = key.parse(config[name])
            except parsers.Placeholder as error:
                errors[name] = f"{error}: pulumi config set {_example(f'{project}:{name}')}"
            except ValueError as error:
                errors[name] = str(error)
        elif callable(key.default):
            values[name] = key.default(values)
        elif key.default is not REQUIRED:
            values[name] = key.default
        elif kind is not None or key.kinds == KINDS:
            errors[name] = f"missing: pulumi config set {_example(f'{project}:{name}')}"
    return values, errors


def _version(
    kind: Kind | None, values: Mapping[str, Any], alive: Mapping[str, str], around: Surroundings, key: str
) -> str:
    """What is wrong with the Kubernetes version in itself, or where EKS has raised the living cluster."""
    wanted, now = values.get("kubernetesVersion"), alive.get("kubernetesVersion")
    if not wanted or kind is None:
        return ""
    if kind == "managed" and (text := support.raised(alive, wanted, key)):
        return text
    ended = support.ended(wanted, now, around.ends, around.today) if kind == "managed" else ""
    return support.refusal(wanted, now) or ended


def _unpublished(values: Mapping[str, Any]) -> bool:
    """True for the image as the template names it, which is nobody's: unless a mirror of the owner's may have it."""
    mirror = values.get("playbookVars", {}).get("containerd_registry_mirror")
    return bool(re.fullmatch(r"sample-app:[^/]+", values.get("appImage", ""))) and not mirror


def _kind(config: Mapping[str, str]) -> Kind | None:
    return next((kind for kind in KINDS if kind == config.get("kind")), None)


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, KEYS, n=1)
    return "unknown key" + (f"; did you mean {near[0]}?" if near else f"; known: {', '.join(KEYS)}")


def _example(key: str) -> str:
    """How to set a key, as one types it in a shell: of blocks, the address that one comes from."""
    here = "$(curl -s https://checkip.amazonaws.com)/32"
    return f"--path '{key}[0]' {here}" if key.endswith("Cidrs") else f"{key} VALUE"


def _snake(key: str) -> str:
    return re.sub("[A-Z]", lambda upper: "_" + upper.group().lower(), key)
