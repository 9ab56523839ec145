"""What a request for a cluster or a node group must meet in EC2 and IAM, and what the lab does not do."""

from __future__ import annotations

from ipaddress import IPv4Network

from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.eks.model import EksError, Json
from lab.constants import EKS_SERVICES, RANGE

#: Members of CreateCluster and UpdateClusterConfig that the lab does not do, unless they say "no".
ABSENT = (
    "outpostConfig", "remoteNetworkConfig", "zonalShiftConfig", "controlPlaneScalingConfig",
    "kubeApiServerConfig", "kubeSchedulerConfig", "kubeControllerManagerConfig",
)  # fmt: skip


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


def encryption(given: list[Json]) -> list[Json]:
    """Returns what DescribeCluster tells of an `encryptionConfig`. Raises EksError."""
    if not given:
        return []
    arn = given[0].get("provider", {}).get("keyArn", "")
    if len(given) > 1 or given[0].get("resources") != ["secrets"] or not arn:
        message = "encryptionConfig: exactly one is taken, with a provider.keyArn and the resources [secrets]"
        raise EksError("InvalidParameterException", message)
    try:
        key = api.client("kms").describe_key(KeyId=arn)["KeyMetadata"]
    except ClientError as error:
        raise EksError("InvalidParameterException", error.response["Error"]["Message"]) from None
    if not key["Enabled"] or key["KeySpec"] != "SYMMETRIC_DEFAULT":
        raise EksError("InvalidParameterException", f"The key {arn} must be enabled and symmetric")
    return [{"resources": ["secrets"], "provider": {"keyArn": key["Arn"]}}]


def service_range(network: Json) -> str:
    """Returns the CIDR of the Services for a `kubernetesNetworkConfig`. Raises EksError."""
    given = network.get("serviceIpv4Cidr", str(EKS_SERVICES))
    try:
        cidr = IPv4Network(given)
    except ValueError:
        raise EksError("InvalidParameterException", f"serviceIpv4Cidr {given} is not a valid CIDR") from None
    if not cidr.subnet_of(RANGE) or not 12 <= cidr.prefixlen <= 24:
        raise EksError("InvalidParameterException", f"serviceIpv4Cidr {cidr} must lie in {RANGE}, between /12 and /24")
    if network.get("ipFamily", "ipv4") != "ipv4":
        raise EksError("InvalidParameterException", "ipFamily ipv6: the lab does not do that")
    return str(cidr)


def vpc(given: Json) -> Json:
    """Returns what DescribeCluster tells of a `resourcesVpcConfig`. Raises EksError."""
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
