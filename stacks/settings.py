"""The one reader of the stack's config. Every error is found in one pass and reported together.

A key is one line of KEYS, one field of a Settings class, named as the key in snake case, and one effect in changes.py.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Literal

import pulumi

from components import ingress_controller
from components.chart_source import ChartSource
from components.machine_image import DEBIAN_13, MachineImage
from components.network import Nat, Side
from stacks import changes, checks, contradictions, living, other_keys, support
from stacks.outputs import KINDS, Kind
from stacks.surroundings import Surroundings, look


@dataclass(frozen=True)
class Settings:
    """What both kinds read."""

    #: `<project>-<stack>`: prefix of every resource name, and the cluster's name.
    name: str
    #: What the next run compares itself with, as changes.entries makes it, the name and the region besides.
    record: Mapping[str, str]
    kind: Kind
    #: Exact release, "1.36.3". EKS takes the minor of it.
    kubernetes_version: str
    vpc_cidr: IPv4Network
    #: How many zones the subnets are spread over, 2 or 3.
    availability_zones: int
    #: Whether private subnets have a way out: "none", "single" (one gateway for all zones) or "per_zone".
    nat: Nat
    #: AWS services with an endpoint in the private subnets, "ecr.api"; S3 has one always.
    interface_endpoints: tuple[str, ...]
    #: Days that CloudWatch keeps the VPC's flow logs; 0: there are none.
    flow_log_days: int
    #: Addresses of Services; never seen outside the cluster.
    service_cidr: IPv4Network
    workers: int
    instance_type: str
    #: Who reaches the API server from outside the VPC.
    api_cidrs: tuple[str, ...]
    #: Repository and tag of the sample app.
    app_image: str
    #: Who reaches its load balancers, with host names and without; none: it has none. Where config says nothing: who
    #: reaches the API server.
    app_cidrs: tuple[str, ...]
    #: Images that the stack has an ECR repository for, `<project>-<stack>/<image>`; none: no registry.
    registry_images: tuple[str, ...]
    #: IAM roles that pull from it, besides the stack's own nodes: those of the other cluster's nodes.
    registry_pull_roles: tuple[str, ...]
    registry_keep_releases: int
    #: Host names of the sample app's Ingress; none: neither it nor its controller is made.
    ingress_hosts: tuple[str, ...]
    #: ARN of their certificate in Certificate Manager; None: a self-signed one is imported.
    ingress_certificate: str | None
    #: "internet-facing" or "internal": of the sample app's load balancers, with host names and without.
    ingress_scheme: str
    ingress_controller_chart: ChartSource
    #: Repository and tag; None: the chart's own.
    ingress_controller_image: str | None
    #: More of the chart's values, over all others.
    ingress_controller_values: Mapping[str, Any]
    #: Repository and tag; None: the project's own.
    descheduler_image: str | None
    #: "ebs": claims get encrypted EBS volumes, as does a copy of the sample app; "none": there is no driver.
    storage: str
    #: EKS or EC2, and Pulumi, refuse to delete the cluster; `twinplane destroy` lifts it.
    deletion_protection: bool


@dataclass(frozen=True)
class ManagedSettings(Settings):
    """The EKS kind."""

    #: "managed": a node group; "auto": EKS Auto Mode chooses, starts and patches the nodes.
    node_mode: Literal["managed", "auto"]

    #: Config may change so that the living cluster goes and another one comes.
    allow_replacement: bool
    #: Release of the EKS node image, "1.36.3-20260901"; None is EKS' newest at creation.
    node_release_version: str | None
    #: IAM roles and users that administer the cluster besides the one that creates it.
    admin_arns: tuple[str, ...]
    #: IAM roles and users that see everything in it, Secrets too, and change nothing.
    viewer_arns: tuple[str, ...]
    #: Days that CloudWatch keeps the control plane's logs.
    control_plane_log_days: int
    #: Add-on -> version, where it shall not be the one of components/add_on.py.
    add_on_versions: Mapping[str, str]


@dataclass(frozen=True)
class SelfManagedSettings(Settings):
    """The kubeadm kind."""

    pod_cidr: IPv4Network
    #: "overlay": pods of two nodes meet in a tunnel; "routed": by the VPC's routes, which the cloud controller makes.
    pod_network: str
    #: 1 or 3.
    control_planes: int
    #: "public": machines with public addresses, guarded by security groups; "private": reached as ssh_via says.
    machine_subnets: Side
    #: "public": people reach the API by a load balancer with public addresses; "private": by the machines' own, in the
    #: VPC. Either is open to api_cidrs.
    api_subnets: str
    #: "endpoint": SSH goes through an EC2 Instance Connect Endpoint; "cidrs": to the machines, from ssh_cidrs.
    ssh_via: str
    #: Empty with "endpoint".
    ssh_cidrs: tuple[str, ...]
    machine_image: MachineImage
    #: "aws": nodes, and Services of type LoadBalancer, are AWS's cloud-controller-manager's; "none": nobody's.
    cloud_controller: str
    #: Repository and tag; None is the project's own, of the cluster's minor.
    cloud_controller_image: str | None
    #: Of its process: endpoints of a cloud that is not AWS's own.
    cloud_controller_environment: Mapping[str, str]
    #: Whether somebody acts on NetworkPolicy objects: the machines' kernel must have nftables' queue.
    network_policies: bool
    #: GiB of each control plane's volume for etcd; 0: etcd is on the root volume.
    etcd_volume_size: int
    #: Days that snapshots of etcd are kept.
    backup_days: int
    #: "keep": a destroy stops before a bucket that has snapshots; "delete": they go with the stack.
    backups_on_destroy: str
    #: Role-prefixed Ansible variables that this stack overrides.
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

_REQUIRED = object()


@dataclass(frozen=True)
class _Key:
    #: Text as config holds it (JSON for lists and objects) to value; ValueError says what is wrong.
    parse: Callable[[str], Any]
    #: One value, or what follows from the values before it.
    default: Any = _REQUIRED
    kinds: tuple[Kind, ...] = KINDS


def _zones(values: Mapping[str, Any]) -> int:
    return 3 if values.get("controlPlanes") == 3 else 2


def _nat(values: Mapping[str, Any]) -> str:
    return "none" if values.get("machineSubnets") == "public" else "single"


def _ssh_via(values: Mapping[str, Any]) -> str:
    return "cidrs" if values.get("machineSubnets") == "public" else "endpoint"


def _app_cidrs(values: Mapping[str, Any]) -> tuple[str, ...]:
    return () if values.get("cloudController") == "none" else values.get("apiCidrs", ())


_MANAGED: tuple[Kind, ...] = ("managed",)
_SELF_MANAGED: tuple[Kind, ...] = ("self-managed",)

KEYS: dict[str, _Key] = {
    "kind": _Key(checks.choice(*KINDS)),
    "kubernetesVersion": _Key(checks.kubernetes_version, "1.36.3"),
    # AWS takes /16 to /28. A subnet is an eighth, and on EKS pods take its addresses: /22 leaves 123 a subnet.
    "vpcCidr": _Key(checks.network(16, 22), IPv4Network("10.20.0.0/16")),
    "machineSubnets": _Key(checks.choice("public", "private"), "private", _SELF_MANAGED),
    "nat": _Key(checks.choice("none", "single", "per_zone"), _nat),
    "interfaceEndpoints": _Key(checks.services, ()),
    "flowLogDays": _Key(checks.log_days, 0),
    # EKS' bounds, https://docs.aws.amazon.com/eks/latest/APIReference/API_KubernetesNetworkConfigRequest.html
    "serviceCidr": _Key(checks.network(12, 24), IPv4Network("172.20.0.0/16")),
    "workers": _Key(checks.integer(1, 100), 2),
    "instanceType": _Key(checks.instance_type, "t3.medium"),
    "apiCidrs": _Key(checks.sources),
    "appImage": _Key(checks.image),
    "registryImages": _Key(checks.image_names, ("sample-app",)),
    "registryPullRoles": _Key(checks.principals, ()),
    "registryKeepReleases": _Key(checks.integer(1, 1000), 20),
    "ingressHosts": _Key(checks.host_names, ()),
    "ingressCertificate": _Key(checks.certificate, None),
    "ingressScheme": _Key(checks.choice("internet-facing", "internal"), "internet-facing"),
    "ingressControllerChart": _Key(checks.chart_source, ingress_controller.CHART),
    "ingressControllerImage": _Key(checks.image, None),
    "ingressControllerValues": _Key(checks.chart_values, {}),
    "deschedulerImage": _Key(checks.image, None),
    "storage": _Key(checks.choice("ebs", "none"), "ebs"),
    "deletionProtection": _Key(checks.flag, True),
    "allowReplacement": _Key(checks.flag, False, _MANAGED),
    "nodeMode": _Key(checks.choice("managed", "auto"), "managed", _MANAGED),
    "nodeReleaseVersion": _Key(checks.node_release, None, _MANAGED),
    "adminArns": _Key(checks.principals, (), _MANAGED),
    "viewerArns": _Key(checks.principals, (), _MANAGED),
    "controlPlaneLogDays": _Key(checks.retention, 30, _MANAGED),
    "addOnVersions": _Key(checks.add_on_versions, {}, _MANAGED),
    "podCidr": _Key(checks.network(8, 24), IPv4Network("10.244.0.0/16"), _SELF_MANAGED),
    "podNetwork": _Key(checks.choice("overlay", "routed"), "overlay", _SELF_MANAGED),
    "controlPlanes": _Key(checks.control_planes, 1, _SELF_MANAGED),
    "availabilityZones": _Key(checks.integer(2, 3), _zones),
    "apiSubnets": _Key(checks.choice("public", "private"), "public", _SELF_MANAGED),
    "sshVia": _Key(checks.choice("endpoint", "cidrs"), _ssh_via, _SELF_MANAGED),
    "sshCidrs": _Key(checks.sources, (), _SELF_MANAGED),
    "machineImage": _Key(checks.machine_image, DEBIAN_13, _SELF_MANAGED),
    "etcdVolumeSize": _Key(checks.integer(0, 1024), 10, _SELF_MANAGED),
    "backupDays": _Key(checks.integer(1, 3650), 30, _SELF_MANAGED),
    "backupsOnDestroy": _Key(checks.choice("keep", "delete"), "keep", _SELF_MANAGED),
    "cloudController": _Key(checks.choice("aws", "none"), "aws", _SELF_MANAGED),
    "appCidrs": _Key(checks.blocks, _app_cidrs),
    "cloudControllerImage": _Key(checks.image, None, _SELF_MANAGED),
    "cloudControllerEnvironment": _Key(checks.environment, {}, _SELF_MANAGED),
    "networkPolicies": _Key(checks.flag, True, _SELF_MANAGED),
    "playbookVars": _Key(checks.variables, {}, _SELF_MANAGED),
}


def load() -> ManagedSettings | SelfManagedSettings:
    """The config of the running stack. Raises ConfigErrors, and pulumi.RunError where AWS takes no credentials."""
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
    lines += [f"config aws:defaultTags: {text}" for text in checks.tags(around.default_tags)]
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
    """-> the values that are right by themselves, and what is wrong with the others, by key."""
    errors: dict[str, str] = {key: _unknown(key) for key in config if key not in KEYS}
    values: dict[str, Any] = {}
    for name, key in KEYS.items():
        if kind is not None and kind not in key.kinds:
            if name in config:
                errors[name] = f"only for kind {key.kinds[0]}"
        elif name in config:
            try:
                values[name] = key.parse(config[name])
            except checks.Placeholder as error:
                errors[name] = f"{error}: pulumi config set {_example(f'{project}:{name}')}"
            except ValueError as error:
                errors[name] = str(error)
        elif callable(key.default):
            values[name] = key.default(values)
        elif key.default is not _REQUIRED:
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
