"""The sample app's pod, as data."""

from typing import Any

NAME = "sample-app"
#: What sample_app/main.go listens on: HTTP, and plain TCP.
HTTP_PORT = 8080
TCP_PORT = 9000
#: Nobody, as the image has it.
USER = 65532
#: The app counts its starts in each: the container's own layer, which goes with the container; a folder of the node,
#: which goes with the pod; a volume outside the nodes, which goes with its claim.
CONTAINER, NODE, OUTSIDE = "/tmp/container", "/storage/node", "/storage/outside"
#: Seconds that a replica stays assigned to a node that is lost, before it is made elsewhere: a reboot takes less.
#: Kubernetes' default is 300
#: (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions).
PATIENCE = 30


def pod(image: str, selector: dict[str, str], *, outside: str = "") -> Any:
    """The pod's spec: one container that may do nothing but serve.

    `outside` names a volume outside the nodes, where there is one.
    """
    mounts = {"node": NODE, **({outside: OUTSIDE} if outside else {})}
    probe = {"http_get": {"path": "/healthz", "port": "http"}, "period_seconds": 5}
    return {
        "automount_service_account_token": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
            **({"fs_group": USER} if outside else {}),
        },
        # Prefers spread to waiting: with a node away for patching, all replicas run on the others.
        "topology_spread_constraints": [
            {
                "max_skew": 1,
                "topology_key": "kubernetes.io/hostname",
                "when_unsatisfiable": "ScheduleAnyway",
                "node_taints_policy": "Honor",  # cordoned and lost nodes do not count
                "label_selector": {"match_labels": selector},
            }
        ],
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{state}",
                "operator": "Exists",
                "effect": "NoExecute",
                "toleration_seconds": PATIENCE,
            }
            for state in ("not-ready", "unreachable")
        ],
        "volumes": [{"name": "node", "empty_dir": {"size_limit": "16Mi"}}],
        "containers": [
            {
                "name": NAME,
                "image": image,
                "ports": [{"name": "http", "container_port": HTTP_PORT}],
                "env": [
                    {"name": "POD_NAME", "value_from": {"field_ref": {"field_path": "metadata.name"}}},
                    {"name": "NODE_NAME", "value_from": {"field_ref": {"field_path": "spec.nodeName"}}},
                    {"name": "VOLUMES", "value": ",".join([CONTAINER, *mounts.values()])},
                ],
                "volume_mounts": [{"name": name, "mount_path": path} for name, path in mounts.items()],
                "readiness_probe": probe,
                "liveness_probe": {**probe, "failure_threshold": 6},
                # Time for every node to forget the pod's address before the app stops to listen.
                "lifecycle": {"pre_stop": {"sleep": {"seconds": 5}}},
                "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                "security_context": {
                    "allow_privilege_escalation": False,
                    # The container's own storage is one of the three that the app shows.
                    "read_only_root_filesystem": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
