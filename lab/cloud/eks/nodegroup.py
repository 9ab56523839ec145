"""Node groups: what may be asked of them, checked as EKS checks it, and what DescribeNodegroup then tells."""

from __future__ import annotations

import time
import uuid

from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.ec2 import machine_images
from lab.cloud.eks import access, launch_template, update
from lab.cloud.eks.checks import check_role
from lab.cloud.eks.cluster import VERSION, active, arn
from lab.cloud.eks.model import EksError, Json
from lab.cloud.eks.state import Cluster, Nodegroup, Store, find, find_nodegroup
from lab.constants import UPDATED_RELEASE

AMI_TYPE = "AL2023_x86_64_STANDARD"
#: Labels that name nodes of a group: nobody may set them.
_RESERVED = ("eks.amazonaws.com/", "k8s.io", "kubernetes.io")


def create(store: Store, given: Json) -> Json:
    """CreateNodegroup."""
    name = given["nodegroupName"]
    scaling = _scaling(given.get("scalingConfig", {}), {"minSize": 1, "maxSize": 2, "desiredSize": 2})
    release = _release(given)
    if given.get("amiType", AMI_TYPE) != AMI_TYPE:
        raise EksError("InvalidParameterException", f"amiType {given['amiType']}: the lab has {AMI_TYPE}")
    if given.get("remoteAccess"):
        raise EksError("InvalidParameterException", "remoteAccess: the lab's EKS nodes have no SSH server")
    for member in ("nodeRepairConfig", "warmPoolConfig"):
        if given.get(member, {}).get("enabled"):
            raise EksError("InvalidParameterException", f"{member}: the lab does not do that")
    if given.get("capacityType", "ON_DEMAND") != "ON_DEMAND":
        raise EksError("InvalidParameterException", f"capacityType {given['capacityType']}: the lab has ON_DEMAND")
    check_role(given["nodeRole"], "ec2.amazonaws.com")
    _check_labels(given.get("labels", {}))
    _check_subnets(store.cluster(given["clusterName"]), given["subnets"])
    template = launch_template.find(given["launchTemplate"]) if given.get("launchTemplate") else {}
    if template and "diskSize" in given:
        raise EksError("InvalidParameterException", "Disk size must be specified within the launch template.")
    of_template = template.get("instanceType", "")
    if of_template and given.get("instanceTypes"):
        raise EksError("InvalidRequestException", "Cannot specify instance types in launch template and API request")
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        if name in cluster.nodegroups:
            there = cluster.nodegroups[name].api
            if cluster.made_by(there["nodegroupArn"], given):
                return {"nodegroup": there}
            message = f"NodeGroup already exists with name {name} and cluster name {cluster.name}"
            raise EksError("ResourceInUseException", message, clusterName=cluster.name, nodegroupName=name)
        active(cluster)
        now = time.time()
        described = {
            "nodegroupName": name,
            "nodegroupArn": arn(f"nodegroup/{cluster.name}/{name}/{uuid.uuid4()}"),
            "clusterName": cluster.name,
            "version": VERSION,
            "releaseVersion": release,
            "createdAt": now,
            "modifiedAt": now,
            "status": "CREATING",
            "capacityType": "ON_DEMAND",
            "scalingConfig": scaling,
            **({} if of_template else {"instanceTypes": given.get("instanceTypes") or ["t3.medium"]}),
            "subnets": given["subnets"],
            "amiType": AMI_TYPE,
            "nodeRole": given["nodeRole"],
            "labels": given.get("labels", {}),
            "taints": given.get("taints", []),
            # EKS names an Auto Scaling group here; the lab's node groups do without one.
            "resources": {"autoScalingGroups": []},
            "diskSize": given.get("diskSize", 20),
            "health": {"issues": []},
            "updateConfig": given.get("updateConfig") or {"maxUnavailable": 1},
            "tags": given.get("tags", {}),
        }
        if template:
            described["launchTemplate"] = template["launchTemplate"]
            del described["diskSize"]
        cluster.nodegroups[name] = Nodegroup(described)
        cluster.made(described["nodegroupArn"], given)
        if (
            given["nodeRole"] not in cluster.entries
            and cluster.api["accessConfig"]["authenticationMode"] != "CONFIG_MAP"
        ):
            access.entry(cluster, given["nodeRole"], "EC2_LINUX")
        return {"nodegroup": described}


def describe(store: Store, given: Json) -> Json:
    """DescribeNodegroup."""
    return {"nodegroup": find_nodegroup(store.cluster(given["clusterName"]), given["nodegroupName"]).api}


def list_nodegroups(store: Store, given: Json) -> Json:
    """ListNodegroups, in one page."""
    return {"nodegroups": sorted(store.cluster(given["clusterName"]).nodegroups)}


def delete(store: Store, given: Json) -> Json:
    """DeleteNodegroup."""
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        group = find_nodegroup(cluster, given["nodegroupName"])
        group.api["status"] = "DELETING"
        if group.update:
            error = {"errorCode": "OperationNotPermitted", "errorMessage": "The node group is being deleted"}
            update.end(cluster, group.update, [error])
            group.update = ""
        return {"nodegroup": group.api}


def update_config(store: Store, given: Json) -> Json:
    """UpdateNodegroupConfig: size, labels, taints, and how many nodes an update may take at once."""
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        group = find_nodegroup(cluster, given["nodegroupName"])
        _idle(cluster, group)
        described = group.api
        parameters: Json = {}
        if "scalingConfig" in given:
            described["scalingConfig"] = _scaling(given["scalingConfig"], described["scalingConfig"])
            parameters |= {key[0].upper() + key[1:]: value for key, value in given["scalingConfig"].items()}
        if "updateConfig" in given:
            described["updateConfig"] = given["updateConfig"]
            parameters |= {key[0].upper() + key[1:]: value for key, value in given["updateConfig"].items()}
        if "labels" in given:
            added, removed = given["labels"].get("addOrUpdateLabels", {}), given["labels"].get("removeLabels", [])
            _check_labels(added)
            described["labels"] = {k: v for k, v in (described["labels"] | added).items() if k not in removed}
            parameters |= {"LabelsToAdd": added, "LabelsToRemove": removed}
        if "taints" in given:
            added, removed = given["taints"].get("addOrUpdateTaints", []), given["taints"].get("removeTaints", [])
            gone = {(taint["key"], taint["effect"]) for taint in [*added, *removed]}
            kept = [taint for taint in described["taints"] if (taint["key"], taint["effect"]) not in gone]
            described["taints"] = kept + added
            parameters |= {"TaintsToAdd": added, "TaintsToRemove": removed}
        if not parameters:
            raise EksError("InvalidParameterException", "No update was asked for", nodegroupName=given["nodegroupName"])
        described |= {"status": "UPDATING", "modifiedAt": time.time()}
        return {"update": update.begin(cluster, "ConfigUpdate", parameters, nodegroup=given["nodegroupName"])}


def update_version(store: Store, given: Json) -> Json:
    """UpdateNodegroupVersion: the newest release of the node image unless one is named."""
    release = _release(given)
    template = launch_template.find(given["launchTemplate"]) if given.get("launchTemplate") else {}
    with store.change() as clusters:
        cluster = find(clusters, given["clusterName"])
        group = find_nodegroup(cluster, given["nodegroupName"])
        _idle(cluster, group)
        parameters = {"Version": VERSION, "ReleaseVersion": release}
        if template:
            wanted, present = template["launchTemplate"], group.api.get("launchTemplate", {})
            if wanted["id"] != present.get("id"):
                message = f"You cannot specify a different launch template: the node group has {present.get('id')}"
                raise EksError("InvalidParameterException", message, nodegroupName=given["nodegroupName"])
            if bool(template["instanceType"]) == ("instanceTypes" in group.api):
                word = "not specify" if "instanceTypes" in group.api else "specify"
                message = f"You must continue to {word} an instance type within the launch template"
                raise EksError("InvalidParameterException", message, nodegroupName=given["nodegroupName"])
            group.api["launchTemplate"] = wanted
            parameters |= {"LaunchTemplateName": wanted["name"], "LaunchTemplateVersion": wanted["version"]}
        described = update.begin(cluster, "VersionUpdate", parameters, nodegroup=given["nodegroupName"])
        group.api |= {"releaseVersion": release, "status": "UPDATING", "modifiedAt": time.time()}
        group.update, group.force = described["id"], given.get("force", False)
        return {"update": described}


def _idle(cluster: Cluster, group: Nodegroup) -> None:
    active(cluster)
    if group.api["status"] != "ACTIVE":
        message = f"Nodegroup cannot be updated while it is {group.api['status']}"
        name = group.api["nodegroupName"]
        raise EksError("ResourceInUseException", message, clusterName=cluster.name, nodegroupName=name)


def _release(given: Json) -> str:
    if given.get("version", VERSION) != VERSION:
        raise EksError(
            "InvalidParameterException", f"Requested Nodegroup version {given['version']}: the cluster has {VERSION}"
        )
    offered = [
        f"{machine_images.KUBERNETES}-{image.release}"
        for image in machine_images.IMAGES.values()
        if image.owner == machine_images.EKS
    ]
    wanted = str(given.get("releaseVersion", f"{machine_images.KUBERNETES}-{UPDATED_RELEASE}"))
    if wanted not in offered:
        message = (
            f"Requested release version {wanted} is not valid for kubernetes version {VERSION}: {', '.join(offered)}"
        )
        raise EksError("InvalidParameterException", message)
    return wanted


def _scaling(given: Json, present: Json) -> Json:
    scaling = present | given
    if not scaling["minSize"] <= scaling["desiredSize"] <= scaling["maxSize"]:
        message = (
            f"desired capacity {scaling['desiredSize']} must lie between {scaling['minSize']} and {scaling['maxSize']}"
        )
        raise EksError("InvalidParameterException", message)
    return scaling


def _check_labels(labels: Json) -> None:
    for key in labels:
        if any(each in key.partition("/")[0] + "/" for each in _RESERVED) and "/" in key:
            raise EksError("InvalidParameterException", f"Label cannot contain reserved prefixes: {key}")


def _check_subnets(cluster: Cluster, ids: list[str]) -> None:
    try:
        subnets = api.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]
    except ClientError as error:
        raise EksError("InvalidParameterException", error.response["Error"]["Message"]) from None
    if any(subnet["VpcId"] != cluster.api["resourcesVpcConfig"]["vpcId"] for subnet in subnets):
        raise EksError(
            "InvalidParameterException", "Subnets are not in the VPC of the cluster", clusterName=cluster.name
        )
