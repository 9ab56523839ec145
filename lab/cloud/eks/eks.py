"""Eks: all clusters of a daemon, and what the rest of the lab asks about them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lab.cloud.ec2 import ec2
from lab.cloud.eks import access, auto_mode, node_bootstrap, pod_identity_agent, pod_identity_webhook
from lab.cloud.eks.controller import ClusterController
from lab.cloud.eks.endpoint import App
from lab.cloud.eks.model import Json
from lab.cloud.eks.state import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Eks:
    """WSGI application. It asks `callers.caller` who signed a request: the signature is verified before."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._app = App(store, self.changed)
        self._controllers: dict[str, ClusterController] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        return self._app(environ, start_response)

    def start(self) -> None:
        """Goes on with every cluster and returns at once. EC2 must answer."""
        clusters = self.store.read().values()
        known = {node.token for cluster in clusters for group in cluster.groups for node in group.nodes}
        for machine in ec2.machines():
            # A daemon that died between the last look at a node and its end.
            ours = {"eks:nodegroup-name", auto_mode.OF_POOL} & set(machine.tags)
            if ours and machine.token not in known and machine.wanted != "terminated":
                ec2.terminate(machine.id)
        self.changed()

    def changed(self) -> None:
        """Gives every cluster a controller, and wakes them all."""
        with self._lock:
            for cluster in self.store.read().values():
                controller = self._controllers.get(cluster.id)
                if controller is None or not controller.running:
                    controller = self._controllers[cluster.id] = ClusterController(self.store, cluster)
                    controller.start()
                controller.wake()

    def access_entry(self, cluster: str, arn: str) -> tuple[str, tuple[str, ...]] | None:
        """Returns the Kubernetes user name and groups of an IAM principal in a cluster; None for a stranger."""
        found = self.store.read().get(cluster)
        identity = access.identify(found, arn) if found else None
        return (identity[0], tuple(identity[1])) if identity else None

    def role(self, address: str) -> str | None:
        """Returns the ARN of the IAM role that a control plane at that address works with; None where there is none."""
        clusters = self.store.read().values()
        return next((cluster.api["roleArn"] for cluster in clusters if cluster.address == address), None)

    def identify_pod(self, body: bytes, cluster: str) -> Json:
        """Returns the answer to a cluster that asks what a new pod needs for its role."""
        return pod_identity_webhook.review(self.store, body, cluster)

    def pod_credentials(self, address: str, token: str) -> tuple[int, str]:
        """Returns HTTP status and body for a pod that shows its token at a node's address."""
        return pod_identity_agent.credentials(self.store, address, token)

    def bootstrap(self, machine: ec2.Machine) -> ec2.Bootstrap | None:
        """Returns what makes an instance a node; None where it is to be none."""
        for cluster in self.store.read().values() if machine.token else ():
            for group in cluster.groups:
                for node in group.nodes:
                    if node.token == machine.token:
                        return node_bootstrap.bootstrap(cluster, group, node, machine)
        return None
