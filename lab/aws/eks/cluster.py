"""Clusters: what may be asked of them, checked as EKS checks it, and what DescribeCluster then tells."""

from __future__ import annotations

import hashlib
import time
import uuid
from ipaddress import IPv4Network

from botocore.exceptions import ClientError

from lab.aws import api, images
from lab.aws.eks import access, update
from lab.aws.eks.model import EksError, Json
from lab.aws.eks.state import Cluster, Store, find
from lab.constants import ACCOUNT, EKS_CONTROL_PLANES, EKS_PODS, RANGE, REGION

VERSION = images.KUBERNETES.rpartition(".")[0]
PLATFORM = "eks.1"
#: EKS chooses from 10.100.0.0/16 and 172.20.0.0/16; the lab has addresses of its own range only.
SERVICES = "198.19.0.0/20"
#: Pod addresses a cluster: blocks for 32 nodes (see node.BLOCK), for 8 clusters.
PODS_PREFIX = 21
#: Members of CreateCluster and UpdateClusterConfig that the lab does not do, unless they say "no".
ABSENT = (
    "encryptionConfig", "outpostConfig", "remoteNetworkConfig", "computeConfig", "storageConfig", "zonalShiftConfig",
    "controlPlaneScalingConfig", "kubeApiServerConfig", "kubeSchedulerConfig", "kubeControllerManagerConfig",
)  # fmt: skip
LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def create(store: Store, given: Json, caller: str) -> Json:
    """CreateCluster."""
    name = given["name"]
    refuse_absent(given)
    if given.get("version", VERSION) != VERSION:
        raise EksError("InvalidParameterException", f"unsupported Kubernetes version: the lab has {VERSION}")
    network = given.get("kubernetesNetworkConfig", {})
    services = _services(network)
    vpc = _vpc(given["resourcesVpcConfig"])
    check_role(given["roleArn"], "eks.amazonaws.com")
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
                "elasticLoadBalancing": {"enabled": False},
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
            "encryptionConfig": [],
        }
        if given.get("clientRequestToken"):
            described["clientRequestToken"] = given["clientRequestToken"]
        cluster = Cluster(described, hashlib.sha256(identity.encode()).hexdigest()[:8], address, pods)
        if given.get("accessConfig", {}).get("bootstrapClusterCreatorAdminPermissions", True):
            access.grant_creator(cluster, caller)
        cluster.bare = not given.get("bootstrapSelfManagedAddons", True)
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
    refuse_absent(given)
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
    """DescribeClusterVersions."""
    del store
    known: Json = {
        "clusterVersion": VERSION,
        "clusterType": "eks",
        "defaultPlatformVersion": PLATFORM,
        "defaultVersion": True,
        "status": "STANDARD_SUPPORT",
        "versionStatus": "STANDARD_SUPPORT",
        "kubernetesPatchVersion": images.KUBERNETES,
    }
    return {"clusterVersions": [known] if VERSION in given.get("clusterVersions", [VERSION]) else []}


def arn(resource: str) -> str:
    """-> the ARN of an EKS resource such as `cluster/demo`."""
    return f"arn:aws:eks:{REGION}:{ACCOUNT}:{resource}"


def active(cluster: Cluster) -> None:
    """Raises EksError unless the cluster can be worked on."""
    if cluster.status != "ACTIVE":
        message = f"Cluster '{cluster.name}' is not in ACTIVE status, it is {cluster.status}"
        raise EksError("ResourceInUseException", message, clusterName=cluster.name)


def refuse_absent(given: Json) -> None:
    """Raises EksError for what the lab does not do, rather than pretend it."""
    for member in ABSENT:
        value = given.get(member)
        if value and value != {"enabled": False}:
            raise EksError("InvalidParameterException", f"{member}: the lab does not do that")


def check_role(role: str, principal: str) -> None:
    """Raises EksError unless that IAM role exists and the service may assume it."""
    try:
        found = api.client("iam").get_role(RoleName=role.rpartition("/")[2])["Role"]
    except ClientError:
        found = None
    trust = str(found["AssumeRolePolicyDocument"]) if found else ""
    if not found or found["Arn"] != role or principal not in trust:
        reason = "could not be assumed because it does not exist or the trusted entity is not correct"
        raise EksError("InvalidParameterException", f"Role with arn: {role}, {reason}")


def logging(wanted: Json, present: Json | None = None) -> Json:
    """-> all log types, enabled or not. The lab delivers none of them to CloudWatch."""
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


def _services(network: Json) -> str:
    given = network.get("serviceIpv4Cidr", SERVICES)
    try:
        cidr = IPv4Network(given)
    except ValueError:
        raise EksError("InvalidParameterException", f"serviceIpv4Cidr {given} is not a valid CIDR") from None
    if not cidr.subnet_of(RANGE) or not 12 <= cidr.prefixlen <= 24:
        raise EksError("InvalidParameterException", f"serviceIpv4Cidr {cidr} must lie in {RANGE}, between /12 and /24")
    if network.get("ipFamily", "ipv4") != "ipv4":
        raise EksError("InvalidParameterException", "ipFamily ipv6: the lab does not do that")
    return str(cidr)


def _vpc(given: Json) -> Json:
    ids = given.get("subnetIds", [])
    try:
        subnets = api.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"] if ids else []
        if given.get("securityGroupIds"):
            api.client("ec2").describe_security_groups(GroupIds=given["securityGroupIds"])
    except ClientError as error:
        raise EksError("InvalidParameterException", error.response["Error"]["Message"]) from None
    if len({subnet["AvailabilityZone"] for subnet in subnets}) < 2:
        message = "Subnets specified must be in at least two different AZs"
        raise EksError("InvalidParameterException", message)
    if len({subnet["VpcId"] for subnet in subnets}) > 1:
        raise EksError("InvalidParameterException", "Subnets specified must be in the same VPC")
    return {
        "subnetIds": ids,
        "securityGroupIds": given.get("securityGroupIds", []),
        "vpcId": subnets[0]["VpcId"],
        "endpointPublicAccess": given.get("endpointPublicAccess", True),
        "endpointPrivateAccess": given.get("endpointPrivateAccess", False),
        "publicAccessCidrs": given.get("publicAccessCidrs", ["0.0.0.0/0"]),
    }


def _free(clusters: dict[str, Cluster]) -> tuple[str, str]:
    addresses = {cluster.address for cluster in clusters.values()}
    blocks = {cluster.pods for cluster in clusters.values()}
    pods = next((str(net) for net in EKS_PODS.subnets(new_prefix=PODS_PREFIX) if str(net) not in blocks), None)
    if pods is None:
        raise EksError("ResourceLimitExceededException", f"The lab has pod addresses for {len(blocks)} clusters only")
    # The first address is left to a router, as in a VPC's subnet.
    address = next(str(each) for each in list(EKS_CONTROL_PLANES.hosts())[1:] if str(each) not in addresses)
    return address, pods
