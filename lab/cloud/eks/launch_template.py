"""Launch templates of EC2, as far as a node group takes them."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.eks.model import EksError, Json

#: What EKS takes from a template here. Of the rest, these have nothing to act on, and all others are refused.
TAKEN = {"BlockDeviceMappings", "InstanceType", "MetadataOptions", "SecurityGroupIds", "TagSpecifications"}
IDLE = {"EbsOptimized", "Monitoring"}


def find(given: Json) -> Json:
    """Returns `launchTemplate` as DescribeNodegroup tells it, and the `instanceType` in it, "" where it has none.

    Raises EksError.
    """
    try:
        found = _version(given)
    except ClientError as error:
        raise EksError("InvalidParameterException", error.response["Error"]["Message"]) from None
    data = found["LaunchTemplateData"]
    refused = sorted(name for name, value in data.items() if value and name not in TAKEN | IDLE)
    if refused:
        raise EksError(
            "InvalidParameterException", f"launchTemplate with {', '.join(refused)}: the lab does not do that"
        )
    described = {
        "id": found["LaunchTemplateId"], "name": found["LaunchTemplateName"], "version": str(found["VersionNumber"]),
    }  # fmt: skip
    return {"launchTemplate": described, "instanceType": data.get("InstanceType", "")}


def mark(described: Json) -> str:
    """Returns the template and its version in one word: "lt-0123:2"; "" for a node group without."""
    template = described.get("launchTemplate")
    return f"{template['id']}:{template['version']}" if template else ""


def data(marked: str) -> Json:
    """Returns LaunchTemplateData of what `mark` named. Raises botocore's ClientError."""
    if not marked:
        return {}
    name, version = marked.split(":")
    return dict(_version({"id": name, "version": version})["LaunchTemplateData"])


def _version(given: Json) -> Any:
    named = {"LaunchTemplateName": given["name"]} if "name" in given else {"LaunchTemplateId": given["id"]}
    wanted = [str(given.get("version", "$Default"))]
    return api.client("ec2").describe_launch_template_versions(**named, Versions=wanted)["LaunchTemplateVersions"][0]
