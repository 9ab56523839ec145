"""Clusters: what may be asked of them, checked as EKS checks it, and what DescribeCluster then tells."""

from __future__ import annotations

import hashlib
import time
import uuid
from datetime import UTC, datetime

from lab.cloud.ec2 import machine_images
from lab.cloud.eks import access, auto_mode, checks, update
from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Cluster, Store, find
from lab.constants import ACCOUNT, EKS_CONTROL_PLANES, EKS_PODS, REGION

VERSION = machine_images.KUBERNETES.rpartition(".")[0]
PLATFORM = "eks.1"
#: Pod addresses a cluster: blocks for 32 nodes (see node.BLOCK), for 8 clusters.
PODS_PREFIX = 21
#: Minor of Kubernetes -> when EKS had it first (https://endoflife.date/amazon-eks).
RELEASED = {
    "1.32": datetime(2025, 1, 23, tzinfo=UTC),
    "1.33": datetime(2025, 5, 29, tzinfo=UTC),
    "1.34": datetime(2025, 10, 2, tzinfo=UTC),
    "1.35": datetime(2026, 1, 27, tzinfo=UTC),
    "1.36": datetime(2026, 6, 2, tzinfo=UTC),
}
LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def create(store: Store, given: Json, caller: str) -> Json:
    """CreateCluster."""
    name = given["name"]
    checks.refuse_absent(given)
    if given.get("version", VERSION) != VERSION:
        raise EksError("InvalidParameterException", f"unsupported Kubernetes version: the lab has {VERSION}")
    network = given.get("kubernetesNetworkConfig", {})
    services = checks.service_range(network)
    vpc = checks.vpc(given["resourcesVpcConfig"])
    checks.check_role(given["roleArn"], "eks.amazonaws.com")
    encryption = checks.encryption(given.get("encryptionConfig", []))
    auto = auto_mode.requested(given)
    with store.change() as clusters:
        if name in clusters:
            token = given.get("clientRequestToken")
            if token and clusters[name].api.get("clientRequestToken") == token:
                return {"cluster": clusters[name].api}
            raise EksError("ResourceInUseException", f"Cluster already exists with name: {name}", clusterName=name)
        identity = uuid.uuid4().hex
        address, pods = _free(clusters)
        described = {
            "name": name,
            "arn": arn(f"cluster/{name}"),
            "createdAt": time.time(),
            "version": VERSION,
            "platformVersion": PLATFORM,
            "roleArn": given["roleArn"],
            "status": "CREATING",
            "resourcesVpcConfig": vpc,
            "kubernetesNetworkConfig": {
                "serviceIpv4Cidr": services,
                "ipFamily": "ipv4",
                "elasticLoadBalancing": {"enabled": bool(auto)},
            },
            "logging": logging(given.get("logging", {})),
            "identity": {"oidc": {"issuer": f"https://oidc.eks.{REGION}.amazonaws.com/id/{identity.upper()}"}},
            "accessConfig": {
                "authenticationMode": given.get("accessConfig", {}).get("authenticationMode", "CONFIG_MAP")
            },
            "upgradePolicy": {"supportType": given.get("upgradePolicy", {}).get("supportType", "EXTENDED")},
            "health": {"issues": []},
            "tags": given.get("tags", {}),
            "deletionProtection": given.get("deletionProtection", False),
            "certificateAuthority": {},
            "encryptionConfig": encryption,
            **auto,
        }
        if given.get("clientRequestToken"):
            described["clientRequestToken"] = given["clientRequestToken"]
        cluster = Cluster(described, hashlib.sha256(identity.encode()).hexdigest()[:8], address, pods)
        if given.get("accessConfig", {}).get("bootstrapClusterCreatorAdminPermissions", True):
            access.grant_creator(cluster, caller)
        cluster.bare = not given.get("bootstrapSelfManagedAddons", True)
        if cluster.auto:
            auto_mode.begin(cluster)
        clusters[name] = cluster
        return {"cluster": described}


def describe(store: Store, given: Json) -> Json:
    """DescribeCluster."""
    return {"cluster": store.cluster(given["name"]).api}


def list_clusters(store: Store, given: Json) -> Json:
    """ListClusters, in one page."""
    del given
    return {"clusters": sorted(store.read())}


def delete(store: Store, given: Json) -> Json:
    """DeleteCluster."""
    with store.change() as clusters:
        cluster = find(clusters, given["name"])
        if cluster.nodegroups:
            raise EksError("ResourceInUseException", "Cluster has nodegroups attached", clusterName=cluster.name)
        if cluster.api["deletionProtection"]:
            raise EksError(
                "InvalidRequestException", "Cluster has deletion protection enabled", clusterName=cluster.name
            )
        cluster.api["status"] = "DELETING"
        return {"cluster": cluster.api}


def update_version(store: Store, given: Json) -> Json:
    """UpdateClusterVersion: the lab has one version, so that there is never one to go to."""
    active(store.cluster(given["name"]))
    wanted = given.get("version", "")
    if wanted == VERSION:
        raise EksError("InvalidParameterException", f"Cluster is already at the desired version: {VERSION}")
    raise EksError("InvalidParameterException", f"unsupported Kubernetes version {wanted}: the lab has {VERSION}")


def update_config(store: Store, given: Json) -> Json:
    """UpdateClusterConfig: one kind of change a request, as EKS has it."""
    checks.refuse_absent(given)
    auto_mode.refuse_change(given)
    changes = {"resourcesVpcConfig", "logging", "accessConfig", "upgradePolicy", "deletionProtection"} & set(given)
    if len(changes) != 1:
        raise EksError("InvalidParameterException", f"Only one type of update can be allowed, not {len(changes)}")
    change = changes.pop()
    with store.change() as clusters:
        cluster = find(clusters, given["name"])
        active(cluster)
        value = given[change]
        if change == "logging":
            kind, cluster.api["logging"] = "LoggingUpdate", logging(value, cluster.api["logging"])
            parameters: Json = {"ClusterLogging": value}
        elif change == "deletionProtection":
            kind, parameters = "DeletionProtectionUpdate", {"UpdatedDeletionProtection": value}
            cluster.api[change] = value
        elif change == "resourcesVpcConfig":
            kind = "VpcConfigUpdate" if {"subnetIds", "securityGroupIds"} & set(value) else "EndpointAccessUpdate"
            parameters = {key[0].upper() + key[1:]: each for key, each in value.items()}
            cluster.api[change] |= value
        else:
            kind = "AccessConfigUpdate" if change == "accessConfig" else "UpgradePolicyUpdate"
            parameters = {key[0].upper() + key[1:]: each for key, each in value.items()}
            _no_way_back(cluster, value)
            cluster.api[change] |= value
        cluster.api["status"] = "UPDATING"
        return {"update": update.begin(cluster, kind, parameters)}


def versions(store: Store, given: Json) -> Json:
    """DescribeClusterVersions: all that EKS has, though the lab runs one of them."""
    del store
    today = datetime.now(UTC)
    every = [_version(minor, release, today) for minor, release in RELEASED.items()]
    wanted, status = given.get("clusterVersions"), given.get("versionStatus")
    return {
        "clusterVersions": [
            each
            for each in reversed(every)
            if (not wanted or each["clusterVersion"] in wanted)
            and (not given.get("defaultOnly") or each["defaultVersion"])
            and (not status or each["versionStatus"] == status)
            and (given.get("includeAll") or each["versionStatus"] != "UNSUPPORTED")
        ]
    }


def _version(minor: str, released: datetime, today: datetime) -> Json:
    """14 months of standard support, then 12 of extended
    (https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html)."""
    standard, extended = _months(released, 14), _months(released, 26)
    status = "STANDARD_SUPPORT" if today < standard else "EXTENDED_SUPPORT" if today < extended else "UNSUPPORTED"
    return {
        "clusterVersion": minor,
        "clusterType": "eks",
        "defaultPlatformVersion": PLATFORM,
        "defaultVersion": minor == VERSION,
        "releaseDate": released.timestamp(),
        "endOfStandardSupportDate": standard.timestamp(),
        "endOfExtendedSupportDate": extended.timestamp(),
        "status": status,
        "versionStatus": status,
        "kubernetesPatchVersion": machine_images.KUBERNETES if minor == VERSION else f"{minor}.0",
    }


def _months(moment: datetime, count: int) -> datetime:
    years, month = divmod(moment.month - 1 + count, 12)
    return moment.replace(year=moment.year + years, month=month + 1)


def arn(resource: str) -> str:
    """Returns the ARN of an EKS resource such as `cluster/demo`."""
    return f"arn:aws:eks:{REGION}:{ACCOUNT}:{resource}"


def active(cluster: Cluster) -> None:
    """Raises EksError unless the cluster can be worked on."""
    if cluster.status != "ACTIVE":
        message = f"Cluster '{cluster.name}' is not in ACTIVE status, it is {cluster.status}"
        raise EksError("ResourceInUseException", message, clusterName=cluster.name)


def logging(wanted: Json, present: Json | None = None) -> Json:
    """Returns all log types, enabled or not. The lab delivers none of them to CloudWatch."""
    enabled = {
        kind for setup in (present or {}).get("clusterLogging", []) if setup["enabled"] for kind in setup["types"]
    }
    for setup in wanted.get("clusterLogging", []):
        kinds = set(setup.get("types", []))
        enabled = enabled | kinds if setup.get("enabled") else enabled - kinds
    groups = [([kind for kind in LOGS if (kind in enabled) == flag], flag) for flag in (True, False)]
    return {"clusterLogging": [{"types": types, "enabled": flag} for types, flag in groups if types]}


def _no_way_back(cluster: Cluster, value: Json) -> None:
    order = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"]
    mode, present = value.get("authenticationMode"), cluster.api["accessConfig"]["authenticationMode"]
    if mode and order.index(mode) < order.index(present):
        message = f"Unsupported authentication mode update from {present} to {mode}"
        raise EksError("InvalidParameterException", message, clusterName=cluster.name)


def _free(clusters: dict[str, Cluster]) -> tuple[str, str]:
    addresses = {cluster.address for cluster in clusters.values()}
    blocks = {cluster.pods for cluster in clusters.values()}
    pods = next((str(net) for net in EKS_PODS.subnets(new_prefix=PODS_PREFIX) if str(net) not in blocks), None)
    if pods is None:
        raise EksError("ResourceLimitExceededException", f"The lab has pod addresses for {len(blocks)} clusters only")
    # The first address is left to a router, as in a VPC's subnet.
    address = next(str(each) for each in list(EKS_CONTROL_PLANES.hosts())[1:] if str(each) not in addresses)
    return address, pods
