"""What a living self-managed cluster lacks of what its last `pulumi up` left: a reason to run the playbook again.

Pulumi knows its resources, not what happened inside them: without this look, an update after `kubectl delete node` says
"unchanged".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import yaml
from cryptography import x509

from components.kubeadm.ansible_run import LastRun
from twinplane.errors import UsageError
from twinplane.live.kubernetes import get, kubernetes_client
from twinplane.live.unanswered import Unanswered

#: Seconds that the API has to answer.
TIMEOUT = 5.0
#: The rule of playbooks/roles/certificates: a run of the playbook renews what is due, and hands out what it renewed.
DUE, SHARE = timedelta(days=90), 4
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def last_run(resources: Iterable[Mapping[str, Any]]) -> LastRun:
    """Returns what there is of the playbook's last run, with another trigger where something is to be repaired.

    `resources` are those of the stack's state, each its type and outputs. It warns of what it finds.
    """
    state = list(resources)
    outputs: Mapping[str, Any] = next((each["outputs"] for each in state if each["type"] == "pulumi:pulumi:Stack"), {})
    commands = (each["outputs"] for each in state if each["type"] == "command:local:Command")
    run: Mapping[str, Any] = next((each for each in commands if each["create"] == "site"), {})
    trigger = str(next(iter(run.get("triggers", [])[1:]), ""))
    if not isinstance(yaml.safe_load(outputs.get("kubeconfig") or ""), dict):
        return LastRun(trigger)  # no playbook has handed out a kubeconfig: there is nobody to ask
    if found := "; ".join(damage(outputs)):
        pulumi.log.warn(f"the playbook runs again: {found}")
        return LastRun(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {found}")
    return LastRun(trigger, run.get("stdout"))


def damage(outputs: Mapping[str, Any]) -> list[str]:
    """Returns a clause for each thing that a living cluster lacks, by its API. `outputs` are the stack's."""
    client = kubernetes_client(outputs["kubeconfig"], {})
    found = list(_kubeconfig(outputs["kubeconfig"], datetime.now(UTC)))
    try:
        nodes = json.loads(get(client, "/api/v1/nodes", timeout=TIMEOUT))["items"]
        selector = "labelSelector=tier%3Dcontrol-plane"
        pods = json.loads(get(client, f"/api/v1/namespaces/kube-system/pods?{selector}", timeout=TIMEOUT))["items"]
    except (Unanswered, UsageError) as error:
        return [*found, f"the API at {client.configuration.host} does not answer ({error})"]
    machines = {each["name"]: each["role"] for each in outputs["machines"]}
    return [*found, *_nodes(machines, nodes, outputs.get("podRanges") or {}), *_pods(machines, pods)]


def _kubeconfig(text: str, now: datetime) -> Iterator[str]:
    for user in yaml.safe_load(text).get("users", []):
        if data := user["user"].get("client-certificate-data"):
            certificate = x509.load_pem_x509_certificate(base64.b64decode(data))
            first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            if last - now < min(DUE, (last - first) / SHARE):
                yield f"the kubeconfig is valid until {last:%Y-%m-%d %H:%M}"


def _nodes(machines: Mapping[str, str], nodes: list[dict[str, Any]], ranges: Mapping[str, str]) -> Iterator[str]:
    found = {node["metadata"]["name"]: node for node in nodes}
    for name in machines:
        if name not in found:
            yield f"{name} has no Node"
            continue
        spec, conditions = found[name]["spec"], found[name].get("status", {}).get("conditions", [])
        if not any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            yield f"{name} is not Ready"
        if any(each["key"] == "twinplane/joining" for each in spec.get("taints", [])):
            yield f"{name} has not finished joining"
        if ranges.get(name) and spec.get("podCIDR") and ranges[name] != spec["podCIDR"]:
            yield f"{name} has the pod range {spec['podCIDR']}, and its network {ranges[name]}"
    others = (name for name, node in found.items() if name not in machines and node["spec"].get("providerID"))
    yield from (f"{name} is a Node of no machine" for name in others)


def _pods(machines: Mapping[str, str], pods: list[dict[str, Any]]) -> Iterator[str]:
    found = {pod["metadata"]["name"] for pod in pods}
    for name, role in machines.items():
        if role == "control-plane":
            yield from (f"{name} runs no {part}" for part in PARTS if f"{part}-{name}" not in found)
