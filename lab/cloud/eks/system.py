"""What every cluster has in kube-system: kube-proxy, CoreDNS and the rules that tie access policies to RBAC."""

from __future__ import annotations

import json

from lab.cloud.eks.control_plane import service_address
from lab.cloud.eks.model import Json
from lab.cloud.eks.state import Cluster

SYSTEM = "kube-system"
#: Access policies in RBAC's terms. On EKS its own authorizer knows them; here groups of these names do.
POLICIES = {
    "AmazonEKSClusterAdminPolicy": "cluster-admin",
    "AmazonEKSAdminPolicy": "admin",
    "AmazonEKSEditPolicy": "edit",
    "AmazonEKSAdminViewPolicy": "eks:admin-view",
    "AmazonEKSViewPolicy": "view",
}
COREFILE = """.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    cache 30
    reload
    loadbalance
}
"""
# EKS's Corefile also forwards to the VPC's resolver; the lab has none.


def policy_group(policy: str, namespace: str = "") -> str:
    """Returns the group that has an access policy, everywhere or in one namespace."""
    return f"eks-access-policy:{policy}" + (f":{namespace}" if namespace else "")


def access() -> list[Json]:
    """Returns the bindings of the access policies, and what the API server may do to kubelets."""
    bindings = [binding(f"eks:{policy}", role, "Group", policy_group(policy)) for policy, role in POLICIES.items()]
    kubelets = binding(
        "eks:kube-apiserver-kubelet-client", "system:kubelet-api-admin", "User", "kube-apiserver-kubelet-client"
    )
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    name = POLICIES["AmazonEKSAdminViewPolicy"]
    view = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [everything]}
    return [view, *bindings, kubelets, *_cloud_controller()]


def _cloud_controller() -> list[Json]:
    """Returns what the cloud controller may do, whose controllers act as one user: initialize nodes, balance
    Services."""
    name = "eks:cloud-controller-manager"
    core = {
        "nodes": "get list watch update patch delete", "nodes/status": "update patch",
        "services": "get list watch update patch", "services/status": "update patch", "events": "create update patch",
    }  # fmt: skip
    rules = [{"apiGroups": [""], "resources": [kind], "verbs": verbs.split()} for kind, verbs in core.items()]
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name}, "rules": [*rules, lease]}
    return [role, binding(name, name, "User", name)]


def policy_binding(policy: str, namespace: str) -> Json:
    """Returns what gives an access policy in one namespace."""
    group = policy_group(policy, namespace)
    everywhere = binding(f"eks:{policy}", POLICIES[policy], "Group", group)
    return everywhere | {"kind": "RoleBinding", "metadata": {"name": f"eks:{policy}", "namespace": namespace}}


def kube_proxy(cluster: Cluster) -> list[Json]:
    """Returns the kube-proxy add-on: a DaemonSet with its configuration, in nftables mode."""
    cluster_info = {"server": cluster.endpoint, "certificate-authority": f"{_ACCOUNT}/ca.crt"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": cluster_info}],
        "users": [{"name": "default", "user": {"tokenFile": f"{_ACCOUNT}/token"}}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
    }
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": "0.0.0.0",
        "clientConnection": {"kubeconfig": "/var/lib/kube-proxy/kubeconfig"},
        # A host of the lab may not change the machine's connection tracking table.
        "conntrack": {"maxPerCore": 0},
        "mode": "nftables",
    }
    labels = {"k8s-app": "kube-proxy"}
    container = {
        "name": "kube-proxy",
        "image": f"registry.k8s.io/kube-proxy:{_kubernetes()}",
        "command": [
            "/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy-config/config", "--hostname-override=$(NODE)",
        ],
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "resources": {"requests": {"cpu": "100m"}},
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": "kubeconfig", "mountPath": "/var/lib/kube-proxy"},
            {"name": "config", "mountPath": "/var/lib/kube-proxy-config"},
            {"name": "modules", "mountPath": "/lib/modules", "readOnly": True},
        ],
    }  # fmt: skip
    pod = {
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "kube-proxy",
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [
            {"name": "kubeconfig", "configMap": {"name": "kube-proxy"}},
            {"name": "config", "configMap": {"name": "kube-proxy-config"}},
            {"name": "modules", "hostPath": {"path": "/lib/modules", "type": "DirectoryOrCreate"}},
        ],
    }
    return [
        named("v1", "ServiceAccount", "kube-proxy", labels),
        binding("eks:kube-proxy", "system:node-proxier", "ServiceAccount", "kube-proxy"),
        named("v1", "ConfigMap", "kube-proxy", labels) | {"data": {"kubeconfig": json.dumps(kubeconfig)}},
        named("v1", "ConfigMap", "kube-proxy-config", labels) | {"data": {"config": json.dumps(configuration)}},
        named("apps/v1", "DaemonSet", "kube-proxy", labels | {"eks.amazonaws.com/component": "kube-proxy"})
        | {
            "spec": {
                "selector": {"matchLabels": labels},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            }
        },
    ]


def coredns(cluster: Cluster, replicas: int = 2) -> list[Json]:
    """Returns the coredns add-on: a Deployment behind the Service kube-dns."""
    services = str(cluster.api["kubernetesNetworkConfig"]["serviceIpv4Cidr"])
    labels = {"k8s-app": "kube-dns"}
    component = labels | {"eks.amazonaws.com/component": "coredns"}
    container = {
        "name": "coredns",
        "image": "registry.k8s.io/coredns/coredns:v1.14.2",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 60},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    spread = {
        "labelSelector": {"matchLabels": labels},
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    pod = {
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "serviceAccountName": "coredns",
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
        {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
    ]
    return [
        named("v1", "ServiceAccount", "coredns", component),
        {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "system:coredns"}, "rules": rules},
        binding("system:coredns", "system:coredns", "ServiceAccount", "coredns"),
        named("v1", "ConfigMap", "coredns", component) | {"data": {"Corefile": COREFILE}},
        named("v1", "Service", "kube-dns", component | {"kubernetes.io/name": "CoreDNS"})
        | {"spec": {"clusterIP": service_address(services, 10), "selector": labels, "ports": ports}},
        named("policy/v1", "PodDisruptionBudget", "coredns", component)
        | {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}},
        named("apps/v1", "Deployment", "coredns", component)
        | {
            "spec": {
                "replicas": replicas,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": component}, "spec": pod},
            }
        },
    ]


def node_coredns(cluster: Cluster) -> list[Json]:
    """Returns CoreDNS of EKS Auto Mode. There it is a program of each node; here a pod of each, behind the same
    address."""
    *others, _, deployment = coredns(cluster)
    template = deployment["spec"]["template"]
    pod = {key: value for key, value in template["spec"].items() if key != "topologySpreadConstraints"}
    pod |= {"priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}]}
    spec = {"selector": deployment["spec"]["selector"], "template": template | {"spec": pod}}
    return [*others, deployment | {"kind": "DaemonSet", "spec": spec}]


_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
RBAC = "rbac.authorization.k8s.io/v1"


def _kubernetes() -> str:
    from lab.toolchain.tool import KUBERNETES

    return f"v{KUBERNETES}"


def named(version: str, kind: str, name: str, labels: dict[str, str]) -> Json:
    return {
        "apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SYSTEM, "labels": labels},
    }  # fmt: skip


def binding(name: str, role: str, kind: str, subject: str) -> Json:
    who: Json = {"kind": kind, "name": subject}
    who |= {"namespace": SYSTEM} if kind == "ServiceAccount" else {"apiGroup": "rbac.authorization.k8s.io"}
    return {
        "apiVersion": RBAC,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [who],
    }
