"""The lab's own EKS: the real API's shapes and rules, with real control planes and nodes on hosts of the lab.

lab/cloud/endpoint/api.py mounts `app`, `start` and `access_entry`. A request goes from endpoint.py to the noun that it
is about (cluster.py, nodegroup.py, addon.py, access.py), and to state.py; controller.py makes it real.
"""

from __future__ import annotations

import threading
from functools import cache

from lab.cloud.ec2 import ec2
from lab.cloud.eks import access, auto_mode, node_bootstrap, pod_identity_agent, pod_identity_webhook
from lab.cloud.eks.controller import Controller
from lab.cloud.eks.endpoint import App
from lab.cloud.eks.model import Json
from lab.cloud.eks.state import Store
from lab.constants import STATE

_controllers: dict[str, Controller] = {}
_lock = threading.Lock()


@cache
def store() -> Store:
    """-> the state of this daemon's EKS."""
    return Store(STATE / "aws" / "eks.json")


def start() -> None:
    """Goes on with every cluster; returns at once. To be called when EC2 answers."""
    known = {node.token for each in store().read().values() for group in each.groups for node in group.nodes}
    for machine in ec2.machines():
        # A daemon that died between the last look at a node and its end.
        ours = {"eks:nodegroup-name", auto_mode.OF_POOL} & set(machine.tags)
        if ours and machine.token not in known and machine.wanted != "terminated":
            ec2.terminate(machine.id)
    changed()


def changed() -> None:
    """Wakes the controllers, and gives every cluster one."""
    with _lock:
        for cluster in store().read().values():
            controller = _controllers.get(cluster.id)
            if controller is None or not controller.thread.is_alive():
                controller = _controllers[cluster.id] = Controller(store(), cluster)
                controller.thread.start()
            controller.wake.set()


def access_entry(cluster: str, arn: str) -> tuple[str, tuple[str, ...]] | None:
    """-> the Kubernetes user name and groups of an IAM principal in a cluster; None for a stranger."""
    found = store().read().get(cluster)
    identity = access.identify(found, arn) if found else None
    return (identity[0], tuple(identity[1])) if identity else None


def role(address: str) -> str | None:
    """-> the ARN of the IAM role that a control plane at that address works with; None where there is none."""
    return next((each.api["roleArn"] for each in store().read().values() if each.address == address), None)


def identify_pod(body: bytes, cluster: str) -> Json:
    """-> the answer to a cluster that asks what a new pod needs for its role."""
    return pod_identity_webhook.review(store(), body, cluster)


def pod_credentials(address: str, token: str) -> tuple[int, str]:
    """-> HTTP status and body for a pod that shows its token at a node's address."""
    return pod_identity_agent.credentials(store(), address, token)


def bootstrap(machine: ec2.Machine) -> ec2.Bootstrap | None:
    """-> what makes an instance a node, if it is one of ours."""
    for cluster in store().read().values() if machine.token else ():
        for group in cluster.groups:
            for each in group.nodes:
                if each.token == machine.token:
                    return node_bootstrap.bootstrap(cluster, group, each, machine)
    return None


def app(environ: object, start_response: object) -> list[bytes]:
    """WSGI."""
    return _app()(environ, start_response)  # type: ignore[arg-type]


@cache
def _app() -> App:
    return App(store(), changed)


ec2.bootstraps.append(bootstrap)
