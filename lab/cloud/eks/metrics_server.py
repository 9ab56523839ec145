"""The metrics-server add-on: a Deployment, and the group of the API that it serves."""

from __future__ import annotations

from lab.cloud.eks.model import Json
from lab.cloud.eks.system import RBAC, SYSTEM, binding, named
from lab.toolchain.tool import METRICS_SERVER

NAME, PORT, GROUP = "metrics-server", 10251, "metrics.k8s.io"
LABELS = {"k8s-app": NAME}


def objects() -> list[Json]:
    """Returns what the add-on installs. As upstream's manifest, it does not have its certificate checked."""
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": read},
    ]
    reader = binding(f"{NAME}-auth-reader", "extension-apiserver-authentication-reader", "ServiceAccount", NAME)
    reader |= {"kind": "RoleBinding", "metadata": {"name": f"{NAME}-auth-reader", "namespace": SYSTEM}}
    reader["roleRef"] = reader["roleRef"] | {"kind": "Role"}
    shown = {f"rbac.authorization.k8s.io/aggregate-to-{each}": "true" for each in ("view", "edit", "admin")}
    service = {"selector": LABELS, "ports": [{"name": "https", "port": 443, "targetPort": PORT}]}
    api = {
        "group": GROUP,
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": NAME, "namespace": SYSTEM},
    }
    return [
        named("v1", "ServiceAccount", NAME, LABELS),
        {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": f"system:{NAME}"}, "rules": rules},
        binding(f"system:{NAME}", f"system:{NAME}", "ServiceAccount", NAME),
        binding(f"{NAME}:system:auth-delegator", "system:auth-delegator", "ServiceAccount", NAME),
        reader,
        {
            "apiVersion": RBAC,
            "kind": "ClusterRole",
            "metadata": {"name": "system:aggregated-metrics-reader", "labels": shown},
            "rules": [{"apiGroups": [GROUP], "resources": ["pods", "nodes"], "verbs": read}],
        },
        named("v1", "Service", NAME, LABELS) | {"spec": service},
        named("apps/v1", "Deployment", NAME, LABELS)
        | {
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": _pod()},
            }
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{GROUP}"},
            "spec": api,
        },
    ]


def _pod() -> Json:
    argv = [
        f"--secure-port={PORT}",
        "--cert-dir=/tmp",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
        "--metric-resolution=15s",
    ]
    container = {
        "name": NAME,
        "image": f"registry.k8s.io/metrics-server/metrics-server:v{METRICS_SERVER}",
        "args": argv,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT, "scheme": "HTTPS"}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 1000,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spread = {
        "labelSelector": {"matchLabels": LABELS},
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    return {
        "priorityClassName": "system-cluster-critical",
        "serviceAccountName": NAME,
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
