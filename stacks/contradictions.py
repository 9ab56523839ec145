"""Values of the config that are each valid, and cannot be true together: found before anything is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from math import ceil
from typing import Any

from stacks import parsers
from stacks.surroundings import Surroundings
from twinplane.live import tunnel

#: Blocks that EKS takes for the public endpoint
#: (https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html).
MAX_API_CIDRS = 40
#: Addresses that a subnet keeps for AWS (https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html), and
#: those that EKS wants for its own interfaces (https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html).
RESERVED = 5 + 6
#: Addresses that an EKS node holds as soon as it has pods: of one network interface in use, and one more
#: (https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/eni-and-ip-target.md). Larger types hold more.
HELD, HELD_BY_SMALL = 12, {"nano": 4, "micro": 4, "small": 8}
#: Families of EC2 from before Nitro, whose disks the machine finds under other names
#: (https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html).
XEN = {"c1", "c3", "c4", "d2", "f1", "g2", "g3", "g3s", "h1", "i2", "i3", "m1", "m2", "m3", "m4", "p2", "p3", "r3"}
XEN |= {"r4", "t1", "t2", "x1", "x1e"}


def find(values: Mapping[str, Any], around: Surroundings, *, alive: bool) -> dict[str, str]:
    """Returns what is wrong, by key. Values that are missing or wrong by themselves are not looked at. `alive`: the
    stack has a cluster already."""
    errors = _blocks(values) | _versions(values) | _instance_type(values) | _certificate(values, around)
    if values.get("appCidrs") and values.get("cloudController") == "none":
        errors["appCidrs"] = "nobody makes a load balancer: cloudController is none"
    if values.get("ingressHosts") and "appCidrs" in values and not values["appCidrs"]:
        errors["ingressHosts"] = "nobody would reach the hosts: name who does in appCidrs, or leave ingressHosts out"
    if values.get("kind") == "managed":
        errors |= _eks(values) | _people(values, "" if alive else around.caller)
    if values.get("kind") == "self-managed":
        errors |= _ways(values) | _pod_routes(values) | _machines(values)
    if values.get("nat") == "none" and "nat" not in errors and not around.endpoints:
        errors |= _no_way_out(values)
    return errors


def _blocks(values: Mapping[str, Any]) -> dict[str, str]:
    errors = {}
    networks = [name for name in ("vpcCidr", "podCidr", "serviceCidr") if name in values]
    for first, second in combinations(networks, 2):
        if values[first].overlaps(values[second]):
            errors[second] = f"{values[second]} overlaps {first} {values[first]}"
    machines = values.get("controlPlanes", 0) + values.get("workers", 0)
    if "podCidr" in values and "controlPlanes" in values and values["podCidr"].num_addresses // 256 < machines:
        errors["podCidr"] = f"{values['podCidr']} is too small: each of {machines} machines takes a /24 of it"
    return errors


def _versions(values: Mapping[str, Any]) -> dict[str, str]:
    errors = {}
    release, version = values.get("nodeReleaseVersion"), values.get("kubernetesVersion")
    if release and version and parsers.minor(release) != parsers.minor(version):
        errors["nodeReleaseVersion"] = f"{release} is not of Kubernetes {parsers.minor(version)} (kubernetesVersion)"
    if release and values.get("nodeMode") == "auto":
        errors["nodeReleaseVersion"] = (
            "nodeMode is auto: EKS chooses the release, and replaces nodes when there is another"
        )
    # The other add-ons have versions of their own.
    proxy = values.get("addOnVersions", {}).get("kube-proxy")
    if proxy and version and parsers.minor(proxy.removeprefix("v")) != parsers.minor(version):
        errors["addOnVersions"] = (
            f"kube-proxy {proxy} is not of Kubernetes {parsers.minor(version)} (kubernetesVersion); "
            "change both together"
        )
    return errors


def _instance_type(values: Mapping[str, Any]) -> dict[str, str]:
    """The nodes' image, and what the playbooks download, is for x86-64. Auto Mode chooses types and images itself."""
    errors = {}
    kind = values.get("instanceType", "")
    if arm(kind) and values.get("nodeMode") != "auto":
        errors["instanceType"] = f"{kind} is ARM, and machines get an x86-64 image: choose a type such as t3.medium"
    image = values.get("machineImage")
    if image and re.search("arm64|aarch64", image.name):
        errors["machineImage"] = f"{image.name} is for ARM, and the playbooks install programs for x86-64"
    if values.get("etcdVolumeSize") and kind.partition(".")[0] in XEN:
        errors["etcdVolumeSize"] = (
            f"{kind} is no Nitro type, and has no link by which a machine finds etcd's volume: choose a type such as "
            "t3.medium, or set it to 0"
        )
    return errors


def arm(instance_type: str) -> bool:
    """True for types with ARM processors: a1, and those with a g after the generation's number
    (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html)."""
    family, _, rest = instance_type.partition(".")[0].partition("-")
    return family == "a1" or rest.startswith("gb") or bool(re.fullmatch(r"[a-z]+\d+[a-z]*g[a-z]*", family))


def _certificate(values: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
    arn = values.get("ingressCertificate")
    if not arn or not around.region or arn.split(":")[3] == around.region:
        return {}
    return {
        "ingressCertificate": f"{arn} is of region {arn.split(':')[3]}, and the load balancer in {around.region}, "
        "which takes certificates of its own region alone: request or import it there"
    }


def _eks(values: Mapping[str, Any]) -> dict[str, str]:
    errors = {}
    # EKS refuses all but the three blocks, but only once network and roles are made. This is a little wider, by rare
    # ranges such as 198.18.0.0/15, which is for test networks.
    if "serviceCidr" in values and not values["serviceCidr"].is_private:
        errors["serviceCidr"] = (
            f"{values['serviceCidr']} is not private: EKS takes 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
        )
    if (count := len(values.get("apiCidrs", ()))) > MAX_API_CIDRS:
        errors["apiCidrs"] = f"{count} blocks: EKS takes {MAX_API_CIDRS}; put neighbours together, or come by a VPN"
    if {"workers", "vpcCidr", "availabilityZones", "instanceType"} <= set(values):
        room = values["vpcCidr"].num_addresses // 8 - RESERVED
        held = HELD_BY_SMALL.get(values["instanceType"].partition(".")[2], HELD)
        nodes = ceil(values["workers"] / values["availabilityZones"])
        if values.get("nodeMode") == "managed" and nodes * held > room:
            errors["workers"] = (
                f"{values['workers']}: {nodes} in a zone, of {held} addresses or more each, for pods have their own; a "
                f"subnet, an eighth of vpcCidr {values['vpcCidr']}, has {room}: take fewer, or a larger block"
            )
    return errors


def _people(values: Mapping[str, Any], creator: str) -> dict[str, str]:
    """EKS lets the creator in by an entry of its own, and refuses a second one of the same principal."""
    for key in ("adminArns", "viewerArns"):
        for arn in values.get(key, ()):
            if creator and same_principal(arn, creator):
                return {key: f"{arn} is who creates the cluster, and administers it without being named: take it out"}
    both = set(values.get("adminArns", ())) & set(values.get("viewerArns", ()))
    return {"viewerArns": f"{', '.join(sorted(both))} is in adminArns, too, and has one entry"} if both else {}


def same_principal(arn: str, caller: str) -> bool:
    """True where `caller`, as STS names it, is the IAM role or user `arn`. A session's ARN has no path of its role, and
    names of roles are unique in an account."""
    account, _, of_arn = arn.split(":", 4)[4].partition(":")
    caller_account, _, of_caller = caller.split(":", 4)[4].partition(":")
    if of_caller.startswith("assumed-role/"):
        role = of_caller.split("/")[1]
        return account == caller_account and of_arn.startswith("role/") and of_arn.rpartition("/")[2] == role
    return (account, of_arn) == (caller_account, of_caller)


def _no_way_out(values: Mapping[str, Any]) -> dict[str, str]:
    """Where private subnets have no way out, nodes reach AWS by its endpoints alone
    (https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html)."""
    if values.get("machineSubnets") == "public":
        return {}
    managed = values.get("kind") == "managed"
    # Nodes pull images, and their network asks EC2.
    needed = ["ec2", "ecr.api", "ecr.dkr"]
    if values.get("storage") == "ebs" or values.get("ingressHosts"):
        needed.append("eks-auth" if managed else "sts")  # roles of pods
    balanced = values.get("ingressHosts") or (values.get("kind") == "self-managed" and values.get("appCidrs"))
    if balanced:
        needed.append("elasticloadbalancing")
    errors = {}
    if missing := [each for each in needed if each not in values.get("interfaceEndpoints", ())]:
        listed = '["' + '", "'.join([*values.get("interfaceEndpoints", ()), *missing]) + '"]'
        errors["nat"] = (
            f"none: nodes need endpoints of {', '.join(missing)}: set it to single, or interfaceEndpoints to {listed}"
        )
    mirrors = ("kubernetes_binaries_url", "containerd_download_url")
    if values.get("kind") == "self-managed" and not set(mirrors) <= set(values.get("playbookVars", {})):
        errors["nat"] = (
            "none: private machines cannot download Kubernetes and containerd: set it to single, or name mirrors in "
            f"the VPC as {' and '.join(mirrors)} in playbookVars"
        )
    return errors


def _machines(values: Mapping[str, Any]) -> dict[str, str]:
    errors = {}
    control_planes, zones = values.get("controlPlanes", 0), values.get("availabilityZones", 3)
    if control_planes > zones:
        errors["availabilityZones"] = (
            f"{zones} for {control_planes} control planes: with one zone, two of etcd's members can be lost; "
            f"set it to {control_planes}"
        )
    if values.get("cloudController") == "none" and values.get("storage") == "ebs":
        errors["storage"] = (
            "ebs needs cloudController: aws, which labels the nodes that the driver asks for; or storage: none"
        )
    return errors


def _pod_routes(values: Mapping[str, Any]) -> dict[str, str]:
    """Routes to pods. The cloud controller writes them to one table, which it knows by its cluster's tag
    (https://github.com/kubernetes/cloud-provider-aws/blob/v1.36.1/pkg/providers/v1/aws_routes.go). A table takes 500
    (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html): more than there can be machines."""
    if values.get("podNetwork") != "routed":
        return {}
    if values.get("cloudController") == "none":
        return {"podNetwork": "routed needs cloudController: aws, which makes the routes; or podNetwork: overlay"}
    if values.get("nat") == "per_zone":
        return {
            "podNetwork": "routed needs nat: single, or none: the cloud controller writes to one route table, "
            "and per_zone has one for each zone"
        }
    return {}


def _ways(values: Mapping[str, Any]) -> dict[str, str]:
    """The ways in and out of self-managed machines."""
    errors = {}
    if values.get("nat") != "none" and values.get("machineSubnets") == "public":
        errors["nat"] = "a gateway that no machine would use: machineSubnets is public"
    given, machines = values.get("sshCidrs"), values.get("controlPlanes", 0) + values.get("workers", 0)
    if values.get("sshVia") == "cidrs" and not given:
        errors["sshCidrs"] = "missing: the blocks that SSH comes from, for sshVia is cidrs"
    if values.get("sshVia") == "endpoint" and given:
        errors["sshCidrs"] = "not with sshVia: endpoint, which lets in who IAM says; or set sshVia: cidrs"
    if values.get("sshVia") == "endpoint" and machines > tunnel.MACHINES:
        errors["sshVia"] = (
            f"one endpoint has connections for {tunnel.MACHINES} machines, not for {machines}: set it to cidrs"
        )
    return errors
