"""Add-ons: kube-proxy, coredns and metrics-server are real.

The others are names, for which there are no images here (STAND_INS).
"""

from __future__ import annotations

import json
import time
import uuid
from http import HTTPStatus

from lab.cloud.ec2 import machine_images
from lab.cloud.eks import metrics_server, system, update
from lab.cloud.eks.cluster import VERSION, active, arn
from lab.cloud.eks.kube import Kube, KubeError, path_of
from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Cluster, Store, find
from lab.toolchain.tool import METRICS_SERVER

VERSIONS = {
    "aws-ebs-csi-driver": "v1.62.0-eksbuild.1",
    "coredns": "v1.14.2-eksbuild.4",
    "eks-pod-identity-agent": "v1.3.10-eksbuild.3",
    "kube-proxy": f"v{machine_images.KUBERNETES}-eksbuild.1",
    "metrics-server": f"v{METRICS_SERVER}-eksbuild.5",
    "vpc-cni": "v1.21.2-eksbuild.2",
}
TYPES = {
    "aws-ebs-csi-driver": "storage",
    "eks-pod-identity-agent": "security",
    "metrics-server": "observability",
}
#: Add-ons that are ACTIVE when their Deployment has a pod that is ready.
DEPLOYMENTS = ("coredns", "metrics-server")
#: Add-ons that are ACTIVE at once and install nothing, and what there is instead.
STAND_INS = {
    "aws-ebs-csi-driver": "nothing",
    "eks-pod-identity-agent": "a way from each node to the lab, which answers",
    "vpc-cni": "the nodes' own CNI configuration",
}
#: What EKS says of an add-on without pods.
LACKING = "The add-on is unhealthy because it doesn't have the desired number of replicas."
#: Configuration that has an effect here. Of STAND_INS everything is accepted and has none.
_CONFIGURABLE = {"coredns": {"replicaCount"}, "kube-proxy": set[str](), "metrics-server": set[str]()}


def create(store: Store, given: Json) -> Json:
    """CreateAddon."""
    name = given["addonName"]
    version = _version(name, given)
    configuration(name, given.get("configurationValues", ""))
    _plain(given)
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        active(cluster)
        if cluster.auto and name in ("coredns", "kube-proxy"):
            message = f"{name}: nodes of EKS Auto Mode have it, and the lab has no other ones there"
            raise EksError("InvalidParameterException", message, clusterName=cluster.name, addonName=name)
        if name in cluster.addons:
            if cluster.made_by(cluster.addons[name]["addonArn"], given):
                return {"addon": cluster.addons[name]}
            raise EksError("ResourceInUseException", "Addon already exists.", clusterName=cluster.name, addonName=name)
        now = time.time()
        described: Json = {
            "addonName": name,
            "clusterName": cluster.name,
            "status": "CREATING",
            "addonVersion": version,
            "health": {"issues": []},
            "addonArn": arn(f"addon/{cluster.name}/{name}/{uuid.uuid4()}"),
            "createdAt": now,
            "modifiedAt": now,
            "tags": given.get("tags", {}),
            "publisher": "eks",
            "owner": "aws",
            **{key: given[key] for key in ("configurationValues", "serviceAccountRoleArn") if key in given},
        }
        cluster.addons[name] = described
        cluster.made(described["addonArn"], given)
        return {"addon": described}


def describe(store: Store, given: Json) -> Json:
    """DescribeAddon."""
    return {"addon": _find(store.cluster(given["clusterName"]), given["addonName"])}


def list_addons(store: Store, given: Json) -> Json:
    """ListAddons."""
    return {"addons": sorted(store.cluster(given["clusterName"]).addons)}


def change(store: Store, given: Json) -> Json:
    """UpdateAddon."""
    name = given["addonName"]
    version = _version(name, given)
    configuration(name, given.get("configurationValues", ""))
    _plain(given)
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        described = _find(cluster, name)
        described |= {key: given[key] for key in ("configurationValues", "serviceAccountRoleArn") if key in given}
        described |= {"status": "UPDATING", "addonVersion": version, "modifiedAt": time.time()}
        parameters = {"AddonVersion": version}
        return {"update": update.begin(cluster, "AddonUpdate", parameters, addon=name)}


def delete(store: Store, given: Json) -> Json:
    """DeleteAddon. With `preserve` what it installed stays, unmanaged."""
    with store.change() as clusters:
        described = _find(find(clusters, given["clusterName"]), given["addonName"])
        described["status"] = "DELETING"
        if given.get("preserve"):
            described["preserve"] = True
        return {"addon": {key: value for key, value in described.items() if key != "preserve"}}


def versions(store: Store, given: Json) -> Json:
    """DescribeAddonVersions."""
    del store
    wanted = given.get("addonName")
    if wanted and wanted not in VERSIONS:
        raise EksError("ResourceNotFoundException", f"Addon {wanted} specified is not supported")
    offered = given.get("kubernetesVersion", VERSION) == VERSION
    compatible = [{"clusterVersion": VERSION, "platformVersions": ["*"], "defaultVersion": True}]
    return {
        "addons": [
            {
                "addonName": name,
                "type": TYPES.get(name, "networking"),
                "owner": "aws",
                "publisher": "eks",
                "addonVersions": [{"addonVersion": version, "architecture": ["amd64"], "compatibilities": compatible}],
            }
            for name, version in VERSIONS.items()
            if offered and wanted in {None, name}
        ]
    }


def configuration(name: str, text: str) -> Json:
    """Returns the configuration values of an add-on. Raises EksError for what has no effect here."""
    try:
        values = json.loads(text or "{}")
    except ValueError:
        raise EksError("InvalidParameterException", "ConfigurationValue provided is not JSON", addonName=name) from None
    unknown = set(values) - _CONFIGURABLE[name] if name in _CONFIGURABLE else set()
    if unknown:
        message = f"ConfigurationValue provided in request is not supported: {', '.join(sorted(unknown))}"
        raise EksError("InvalidParameterException", message, addonName=name)
    return dict(values)


def step(store: Store, cluster: Cluster, kube: Kube) -> bool:
    """Makes real what was asked of the add-ons of a cluster. Returns whether there is more to come soon."""
    busy = False
    for name, described in cluster.addons.items():
        status = described["status"]
        if status in ("ACTIVE", "DEGRADED"):
            _judge(store, cluster.name, name, status, kube)
            continue
        manifests = objects(cluster, name)
        if status == "DELETING":
            for manifest in [] if described.get("preserve") else reversed(manifests):
                kube.delete(path_of(manifest))
        else:
            for manifest in manifests:
                kube.apply(manifest)
            if not _available(name, kube):
                busy = True
                continue
        _finish(store, cluster.name, name, described)
    return busy


def _available(name: str, kube: Kube) -> bool:
    """Returns False for an add-on whose Deployment has no pod that is ready, or is gone."""
    if name not in DEPLOYMENTS:
        return True
    try:
        deployment = kube.get(f"/apis/apps/v1/namespaces/{system.SYSTEM}/deployments/{name}")
    except KubeError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return bool(deployment.get("status", {}).get("availableReplicas"))


def _judge(store: Store, cluster_name: str, name: str, status: str, kube: Kube) -> None:
    """Tells the health of an add-on that nobody changes."""
    well = _available(name, kube)
    if well == (status == "ACTIVE"):
        return
    with store.change() as clusters:
        described = clusters[cluster_name].addons.get(name)
        if described and described["status"] == status:
            issue = {"code": "InsufficientNumberOfReplicas", "message": LACKING, "resourceIds": []}
            described["status"] = "ACTIVE" if well else "DEGRADED"
            described["health"] = {"issues": [] if well else [issue]}


def _finish(store: Store, cluster_name: str, name: str, seen: Json) -> None:
    with store.change() as clusters:
        cluster = clusters[cluster_name]
        if cluster.addons.get(name) != seen:
            return
        if seen["status"] == "DELETING":
            del cluster.addons[name]
            return
        cluster.addons[name] |= {"status": "ACTIVE", "health": {"issues": []}}
        for each in update.running(cluster):
            if each["of"]["addon"] == name:
                update.end(cluster, each["api"]["id"])


def objects(cluster: Cluster, name: str) -> list[Json]:
    """Returns what an add-on installs."""
    if name == "kube-proxy":
        return system.kube_proxy(cluster)
    if name == "metrics-server":
        return metrics_server.objects()
    if name == "coredns":
        values = configuration(name, cluster.addons.get(name, {}).get("configurationValues", ""))
        return system.coredns(cluster, int(values.get("replicaCount", 2)))
    return []


def _version(name: str, given: Json) -> str:
    if name not in VERSIONS:
        raise EksError(
            "InvalidParameterException", f"Addon {name} specified is not supported in {VERSION} kubernetes version"
        )
    if given.get("addonVersion", VERSIONS[name]) != VERSIONS[name]:
        message = f"Addon version specified is not supported: the lab has {VERSIONS[name]}"
        raise EksError("InvalidParameterException", message, addonName=name)
    return VERSIONS[name]


def _plain(given: Json) -> None:
    for member in ("podIdentityAssociations", "namespaceConfig"):
        if given.get(member):
            raise EksError("InvalidParameterException", f"{member}: the lab does not do that")


def _find(cluster: Cluster, name: str) -> Json:
    if name not in cluster.addons:
        message = f"No addon: {name} found in cluster: {cluster.name}"
        raise EksError("ResourceNotFoundException", message, clusterName=cluster.name, addonName=name)
    found: Json = cluster.addons[name]
    return found
