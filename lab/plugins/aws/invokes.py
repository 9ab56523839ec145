"""Functions: what a program asks AWS for without making anything."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.plugins.aws.session import Session
from lab.plugins.aws.shapes import plain
from lab.plugins.aws.types import Inputs
from lab.plugins.provider import ProviderError
from lab.plugins.values import Secret, Values


@dataclass(frozen=True)
class Function:
    """A function by its arguments and what gives its result."""

    inputs: Inputs
    call: Callable[[Session, Values], Values]


FILTER = {"filters": Inputs(required="name values")}


def partition(session: Session, _: Values) -> Values:
    name = session.partition
    suffix = "amazonaws.com.cn" if name == "aws-cn" else "amazonaws.com"
    return {
        "id": name,
        "partition": name,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


def identity(session: Session, _: Values) -> Values:
    who = session.identity
    return {"id": who["Account"], "accountId": who["Account"], "arn": who["Arn"], "userId": who["UserId"]}


def region(session: Session, args: Values) -> Values:
    name = args.get("region") or args.get("name") or session.region
    if not name:
        raise ProviderError("no region is configured: set aws:region or AWS_REGION")
    return {"id": name, "name": name, "region": name, "endpoint": f"ec2.{name}.amazonaws.com", "description": name}


def filters(args: Values) -> list[dict[str, Any]]:
    return [{"Name": item["name"], "Values": item["values"]} for item in args.get("filters", [])]


def availability_zones(session: Session, args: Values) -> Values:
    wanted = filters(args)
    if "state" in args:
        wanted.append({"Name": "state", "Values": [args["state"]]})
    answer = session.client("ec2", args.get("region")).describe_availability_zones(
        Filters=wanted, AllAvailabilityZones=bool(args.get("allAvailabilityZones"))
    )
    zones = [
        zone
        for zone in sorted(answer["AvailabilityZones"], key=lambda zone: zone["ZoneName"])
        if zone["ZoneName"] not in args.get("excludeNames", []) and zone["ZoneId"] not in args.get("excludeZoneIds", [])
    ]
    return {
        **args,
        "id": args.get("region") or session.region,
        "region": args.get("region") or session.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
        "groupNames": sorted({zone["GroupName"] for zone in zones if zone.get("GroupName")}),
    }


def ami(session: Session, args: Values) -> Values:
    """One image; of several, the newest with mostRecent, and an error without."""
    sent = {"Filters": filters(args), "Owners": args.get("owners", [])}
    if args.get("executableUsers"):
        sent["ExecutableUsers"] = args["executableUsers"]
    answer = session.client("ec2", args.get("region")).describe_images(
        **{name: value for name, value in sent.items() if value}
    )
    pattern = re.compile(args.get("nameRegex", ""))
    found = [image for image in answer["Images"] if pattern.search(image.get("Name", ""))]
    if not found:
        raise ProviderError("no image matches: check `owners`, `filters` and the region")
    if len(found) > 1 and not args.get("mostRecent"):
        raise ProviderError(f"{len(found)} images match: narrow `filters`, or set `mostRecent`")
    image = max(found, key=lambda image: str(image.get("CreationDate", "")))
    mappings = [
        {
            "deviceName": mapping.get("DeviceName", ""),
            "ebs": {name: str(value).lower() for name, value in plain(mapping.get("Ebs", {})).items()},
            "noDevice": "",
            "virtualName": mapping.get("VirtualName", ""),
        }
        for mapping in image.get("BlockDeviceMappings", [])
    ]
    tags = {tag["Key"]: tag["Value"] for tag in image.get("Tags", [])}
    shown = {name: value for name, value in plain(image).items() if not isinstance(value, list | dict)}
    return {
        **args,
        **shown,
        "id": image["ImageId"],
        "arn": f"arn:{session.partition}:ec2:{args.get('region') or session.region}::image/{image['ImageId']}",
        "region": args.get("region") or session.region,
        "blockDeviceMappings": mappings,
        "productCodes": [],
        "stateReason": {"code": "UNSET", "message": "UNSET"},
        "tags": tags,
    }


def parameter(session: Session, args: Values) -> Values:
    decrypt = args.get("withDecryption", True)
    answer = session.client("ssm", args.get("region")).get_parameter(Name=args["name"], WithDecryption=decrypt)
    found = answer["Parameter"]
    return {
        **args,
        "id": found["Name"],
        "name": found["Name"],
        "arn": found["ARN"],
        "type": found["Type"],
        "version": found["Version"],
        "value": Secret(found["Value"]),
        "insecureValue": found["Value"] if found["Type"] != "SecureString" else "",
        "withDecryption": decrypt,
        "region": args.get("region") or session.region,
    }


def addon_version(session: Session, args: Values) -> Values:
    """The default version of an add-on for a Kubernetes version; with mostRecent, the newest."""
    client = session.client("eks", args.get("region"))
    answer = client.describe_addon_versions(addonName=args["addonName"], kubernetesVersion=args["kubernetesVersion"])
    versions = [version for addon in answer["addons"] for version in addon["addonVersions"]]

    def fits(version: Mapping[str, Any]) -> bool:
        fitting = [c for c in version["compatibilities"] if c["clusterVersion"] == args["kubernetesVersion"]]
        return bool(args.get("mostRecent")) or any(c.get("defaultVersion") for c in fitting)

    found = next(filter(fits, versions), None)
    if found is None:
        raise ProviderError(f"no version of {args['addonName']} for Kubernetes {args['kubernetesVersion']}")
    return {**args, "id": args["addonName"], "version": found["addonVersion"], "region": session.region}


def cluster_versions(session: Session, args: Values) -> Values:
    """The minors of Kubernetes that EKS has, each with its dates."""
    wanted = {
        name: args[given]
        for given, name in {
            "clusterType": "clusterType",
            "clusterVersionsOnlies": "clusterVersions",
            "defaultOnly": "defaultOnly",
            "includeAll": "includeAll",
            "versionStatus": "versionStatus",
        }.items()
        if given in args
    }
    found = session.client("eks", args.get("region")).describe_cluster_versions(**wanted)["clusterVersions"]
    region = args.get("region") or session.region
    return {**args, "id": region, "region": region, "clusterVersions": [plain(each) for each in found]}


def cluster(session: Session, args: Values) -> Values:
    """One cluster, without its blocks."""
    answer = session.client("eks", args.get("region")).describe_cluster(name=args["name"])["cluster"]
    known = {name: value for name, value in plain(answer).items() if not isinstance(value, list | dict)}
    return {**known, "id": args["name"], "region": args.get("region") or session.region}


def clusters(session: Session, args: Values) -> Values:
    names = session.client("eks", args.get("region")).list_clusters()["clusters"]
    return {"id": session.region, "names": sorted(names), "region": args.get("region") or session.region}


def instances(session: Session, args: Values) -> Values:
    """Ids of those with all the tags, in one of the states: running, where none are named."""
    wanted = filters(args) + [
        {"Name": f"tag:{key}", "Values": [value]} for key, value in args.get("instanceTags", {}).items()
    ]
    wanted.append({"Name": "instance-state-name", "Values": args.get("instanceStateNames") or ["running"]})
    answer = session.client("ec2", args.get("region")).describe_instances(Filters=wanted)
    found = [each for reservation in answer["Reservations"] for each in reservation["Instances"]]
    return {**args, "id": session.region, "ids": [each["InstanceId"] for each in found], "region": session.region}


FUNCTIONS: Mapping[str, Function] = {
    "aws:index/getPartition:getPartition": Function(Inputs(optional="id"), partition),
    "aws:index/getCallerIdentity:getCallerIdentity": Function(Inputs(optional="id"), identity),
    "aws:index/getRegion:getRegion": Function(Inputs(optional="endpoint id name region"), region),
    "aws:index/getAvailabilityZones:getAvailabilityZones": Function(
        Inputs(
            optional="allAvailabilityZones excludeNames excludeZoneIds region state", blocks=FILTER, lists="filters"
        ),
        availability_zones,
    ),
    "aws:ec2/getAmi:getAmi": Function(
        Inputs(
            optional="executableUsers mostRecent nameRegex owners region tags includeDeprecated",
            blocks=FILTER,
            lists="filters",
        ),
        ami,
    ),
    "aws:ec2/getInstances:getInstances": Function(
        Inputs(optional="instanceTags instanceStateNames region", blocks=FILTER, lists="filters"), instances
    ),
    "aws:eks/getClusters:getClusters": Function(Inputs(optional="region"), clusters),
    "aws:ssm/getParameter:getParameter": Function(Inputs(required="name", optional="region withDecryption"), parameter),
    "aws:eks/getClusterVersions:getClusterVersions": Function(
        Inputs(optional="clusterType clusterVersionsOnlies defaultOnly includeAll region versionStatus"),
        cluster_versions,
    ),
    "aws:eks/getCluster:getCluster": Function(Inputs(required="name", optional="region"), cluster),
    "aws:eks/getAddonVersion:getAddonVersion": Function(
        Inputs(required="addonName kubernetesVersion", optional="mostRecent region"), addon_version
    ),
}
