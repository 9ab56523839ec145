"""SampleApp: the workload that runs on both clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

NAME = "sample-app"
HTTP_PORT = 8080


@dataclass(frozen=True)
class SampleAppArgs:
    """What a SampleApp is made from."""

    #: Repository and tag.
    image: str
    namespace: str = "twinplane"
    replicas: int = 3
    #: Port of every node that reaches the Service, 30000 to 32767.
    node_port: int = 30080


class SampleApp(pulumi.ComponentResource):
    """Replicas spread over the nodes, behind a NodePort Service, never less than all but one of them by choice."""

    #: Where it runs, the stack's `workload` output: namespace, deployment, service, nodePort.
    exported: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: SampleAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:workload:SampleApp", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "pulumi"}
        selector = {"app.kubernetes.io/name": NAME}

        namespace = kubernetes.core.v1.Namespace(
            name,
            metadata={
                "name": args.namespace,
                "labels": {**labels, "pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=child,
        )
        metadata: Any = {"name": NAME, "namespace": namespace.metadata.name, "labels": labels}
        deployment = kubernetes.apps.v1.Deployment(
            name,
            metadata=metadata,
            spec={
                "replicas": args.replicas,
                "selector": {"match_labels": selector},
                "template": {"metadata": {"labels": labels}, "spec": pod(args.image, selector)},
            },
            opts=child,
        )
        service = kubernetes.core.v1.Service(
            name,
            metadata=metadata,
            spec={
                "type": "NodePort",
                "selector": selector,
                "ports": [{"name": "http", "port": 80, "target_port": "http", "node_port": args.node_port}],
            },
            opts=child,
        )
        kubernetes.policy.v1.PodDisruptionBudget(
            name,
            metadata=metadata,
            spec={"min_available": args.replicas - 1, "selector": {"match_labels": selector}},
            opts=child,
        )
        self.exported = pulumi.Output.all(
            namespace=namespace.metadata.name,
            deployment=deployment.metadata.name,
            service=service.metadata.name,
            nodePort=service.spec.ports[0].node_port,
        )
        self.register_outputs({"exported": self.exported})


def pod(image: str, selector: dict[str, str]) -> Any:
    """The pod's spec: one container that may do nothing but serve."""
    probe = {"http_get": {"path": "/healthz", "port": "http"}, "period_seconds": 5}
    return {
        "automount_service_account_token": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": 65532,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        # Prefers spread to waiting: with a node away for patching, all replicas run on the others.
        "topology_spread_constraints": [
            {
                "max_skew": 1,
                "topology_key": "kubernetes.io/hostname",
                "when_unsatisfiable": "ScheduleAnyway",
                "label_selector": {"match_labels": selector},
            }
        ],
        "containers": [
            {
                "name": NAME,
                "image": image,
                "ports": [{"name": "http", "container_port": HTTP_PORT}],
                "env": [
                    {"name": "POD_NAME", "value_from": {"field_ref": {"field_path": "metadata.name"}}},
                    {"name": "NODE_NAME", "value_from": {"field_ref": {"field_path": "spec.nodeName"}}},
                ],
                "readiness_probe": probe,
                "liveness_probe": {**probe, "failure_threshold": 6},
                # Time for every node to forget the pod's address before the app stops to listen.
                "lifecycle": {"pre_stop": {"sleep": {"seconds": 5}}},
                "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
