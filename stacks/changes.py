"""What another value of a key does to a living cluster: it is taken over safely, or refused before anything changes.

docs/config.md shows the same for each key, and a test holds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from components.kubeadm.ansible_run import PLAYBOOKS
from twinplane.outputs import Kind

INSTEAD = "leave it, or make another stack"
REPLACED = "leave it, make another stack, or lose all that is in the cluster by allowReplacement: true"


@dataclass(frozen=True)
class Change:
    """The effect of one key."""

    #: What happens where the change is not refused; empty where every change is.
    effect: str = ""
    #: Why it is refused; empty where none is.
    refused: str = ""
    #: What to do instead.
    instead: str = INSTEAD
    #: Which changes are refused, where not all are, in words and by (living value, wanted value).
    which: str = ""
    refuses: Callable[[str, str], bool] = lambda _living, _wanted: True
    #: Not refused with allowReplacement: the cluster goes with all that is in it, and another one comes.
    replaces: bool = False


def _far(living: str, wanted: str) -> bool:
    """True for a way that EKS does not go: down, or up by more than one minor."""
    before, after = (tuple(map(int, version.split(".")[:2])) for version in (living, wanted))
    return after[0] != before[0] or not 0 <= after[1] - before[1] <= 1


def _fewer(living: str, wanted: str) -> bool:
    return int(wanted) < int(living)


def _none(_living: str, wanted: str) -> bool:
    return wanted == "none"


_BOTH = {
    "kind": Change(refused="the cluster would be destroyed"),
    "vpcCidr": Change(refused="subnets, and all that stands in them, would be replaced"),
    "nat": Change(
        "the routes of the private subnets change; open connections to the outside may break once",
        "nodes would lose their way out, to registries and to AWS",
        "leave it single or per_zone",
        "none",
        _none,
    ),
    "interfaceEndpoints": Change("endpoints are made or deleted"),
    "flowLogDays": Change("in place; 0 removes the logs"),
    "serviceCidr": Change(refused="every Service has an address of it, and the API server's certificate has one"),
    "apiCidrs": Change("in place"),
    "appImage": Change("the Deployment rolls, pod by pod"),
    "registryImages": Change("repositories are made; one that is no longer named is deleted with its images"),
    "registryPullRoles": Change("in place"),
    "registryKeepReleases": Change("in place; ECR expires what is more"),
    "ingressHosts": Change("in place; the first host brings the controller, and the last one takes it away"),
    "ingressCertificate": Change("in place"),
    "ingressScheme": Change("the app's load balancers are replaced and get other names; pods stay"),
    "ingressControllerChart": Change("its Deployment rolls"),
    "ingressControllerImage": Change("its Deployment rolls"),
    "ingressControllerValues": Change("its Deployment rolls"),
    "deschedulerImage": Change("its Deployment rolls"),
    "appCidrs": Change("in place; an empty list deletes the app's load balancer"),
    "deletionProtection": Change("in place"),
    "storage": Change("`ebs` adds the driver; `none` fails while a claim has a volume of it"),
}

CHANGES: dict[Kind, dict[str, Change]] = {
    "managed": {
        **_BOTH,
        "vpcCidr": Change(refused="network and cluster would be replaced", instead=REPLACED, replaces=True),
        "serviceCidr": Change(refused="the cluster would be replaced", instead=REPLACED, replaces=True),
        "kubernetesVersion": Change(
            "EKS takes the minor alone: the control plane gets the next one, then the nodes are replaced one by one",
            "EKS goes up by one minor at a time, and never down",
            "go to the next minor",
            "down, or up by more",
            _far,
        ),
        "availabilityZones": Change(refused="EKS keeps the zones that a cluster was created in"),
        "workers": Change("EKS adds nodes, or drains and removes some; no effect with nodeMode auto"),
        "instanceType": Change("EKS drains and replaces the nodes one by one; no effect with nodeMode auto"),
        "nodeMode": Change(refused="all nodes and add-ons would be replaced at once"),
        "nodeReleaseVersion": Change("EKS drains and replaces the nodes one by one"),
        "allowReplacement": Change("no effect by itself"),
        "adminArns": Change("in place"),
        "viewerArns": Change("in place"),
        "controlPlaneLogDays": Change("in place"),
        "addOnVersions": Change("EKS rolls the add-on"),
    },
    "self-managed": {
        **_BOTH,
        "kubernetesVersion": Change(
            refused="a living cluster's version cannot be changed yet",
            instead="leave it, or make another stack with the new version",
        ),
        "availabilityZones": Change(refused="machines would be replaced: they are spread over the zones by number"),
        "machineSubnets": Change(refused="all machines would be replaced"),
        "workers": Change("new machines join; machines that are to go are drained first"),
        "instanceType": Change(refused="all machines would be stopped at once, etcd's with them"),
        "podCidr": Change(refused="every node has its part of it"),
        "podNetwork": Change(refused="pods of different nodes would lose each other"),
        "controlPlanes": Change(
            "1 to 3, in a stack made with three zones: two more join, one at a time",
            "etcd would lose its majority",
            which="3 to 1",
            refuses=_fewer,
        ),
        "apiSubnets": Change(refused="the API would get another name than certificates and kubeconfigs have"),
        "sshVia": Change("in place"),
        "sshCidrs": Change("in place"),
        "machineImage": Change("new machines alone take it; nor does a newer image of the same name replace any"),
        "etcdVolumeSize": Change(refused="etcd's disk is made and filled when its machine is"),
        "backupDays": Change("in place"),
        "backupsOnDestroy": Change("in place"),
        "cloudController": Change(refused="all kubelets would be restarted with another cloud provider at once"),
        "cloudControllerImage": Change("its DaemonSet rolls"),
        "cloudControllerEnvironment": Change("its DaemonSet rolls"),
        "networkPolicies": Change("the agent comes to every node, or goes: then packets pass"),
        "playbookVars": Change(
            "the playbook runs; kubelets and containerd may restart on all machines at once; pods go on"
        ),
    },
}

_KUBEADM = Change(refused="kubeadm took it when the cluster started, and would not take it again")
_AT_ONCE = Change(refused="it would change on all machines at once")
#: Of playbookVars those that no living cluster takes.
VARIABLES: dict[str, Change] = {
    "kubernetes_version": CHANGES["self-managed"]["kubernetesVersion"],
    "kubernetes_cluster_name": _KUBEADM,
    "kubernetes_pod_cidr": CHANGES["self-managed"]["podCidr"],
    "kubernetes_service_cidr": CHANGES["self-managed"]["serviceCidr"],
    "control_plane_endpoint": _KUBEADM,
    "control_plane_certificate_sans": _KUBEADM,
    "kubeconfig_server": _KUBEADM,
    "control_plane_issuer": _KUBEADM,
    "pod_network_routed": CHANGES["self-managed"]["podNetwork"],
    "kubelet_cloud_provider": CHANGES["self-managed"]["cloudController"],
    "containerd_version": _AT_ONCE,
    "ecr_credential_provider_version": _AT_ONCE,
    "kubelet_cgroup_driver": _AT_ONCE,
    "kubelet_fail_cgroup_v1": _KUBEADM,
    "kubelet_fail_swap_on": _KUBEADM,
    "kubelet_eviction_hard": _KUBEADM,
    "kube_proxy_conntrack_max_per_core": _KUBEADM,
}
#: What the program itself gives to the playbooks, over what stands in group_vars.
_GIVEN = {name for name in VARIABLES if name.startswith(("kubernetes_", "control_plane_", "pod_network_"))}
_PREFIX = "playbookVars."


def entries(kind: Kind, values: Mapping[str, Any]) -> dict[str, str]:
    """Returns the text of each value that can be refused, by its key; a playbook variable's is `playbookVars.NAME`.

    A variable has the value that it has on the machines: the pin in group_vars, where config says nothing.
    """
    found = {key: _text(values[key]) for key, change in CHANGES[kind].items() if change.refused and key in values}
    if kind == "self-managed" and "playbookVars" in values:
        pins = yaml.safe_load((PLAYBOOKS / "group_vars" / "all.yml").read_text())
        variables = {name: pin for name, pin in pins.items() if name not in _GIVEN} | values["playbookVars"]
        found |= {_PREFIX + name: _text(variables.get(name, "")) for name in VARIABLES}
    return found


def refusals(
    kind: Kind, living: Mapping[str, str], wanted: Mapping[str, str], *, replacing: bool = False
) -> dict[str, str]:
    """Returns what is wrong, by key, with entries that the living cluster would have to take, or that another one may
    take in its place, where it may be replaced. Those that it has no value of are not compared."""
    if living.get("kind", kind) != kind:
        return {"kind": _line(CHANGES[kind]["kind"], living["kind"], kind)}
    errors = {}
    for key, text in wanted.items():
        change = VARIABLES[key.removeprefix(_PREFIX)] if key.startswith(_PREFIX) else CHANGES[kind][key]
        if living.get(key, text) != text and change.refuses(living[key], text) and not (change.replaces and replacing):
            errors[key] = _line(change, living[key], text)
    return errors


def moves(living: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Returns the same of the name and the region, which are no keys of ours, as whole lines."""
    found = {key: text for key, text in wanted.items() if living.get(key, text) != text}
    lines = []
    if "name" in found:
        was = living["name"]
        lines.append(
            f"project and stack: the living cluster is named {was}, not {found['name']}: all would be replaced; "
            "give project and stack their old names (pulumi stack rename), or make another stack"
        )
    if "region" in found:
        moved = Change(refused="all would be replaced, in another region")
        lines.append(f"config aws:region: {_line(moved, living['region'], found['region'])}")
    return lines


def _line(change: Change, living: str, wanted: str) -> str:
    values = f"is {living or 'unset'}, would be {wanted or 'unset'}"
    return f"cannot change on a living cluster ({values}): {change.refused}; {change.instead}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, (bool, dict, list, tuple)) else str(value)
