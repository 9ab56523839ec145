"""`eks:index:ManagedNodeGroup`: a node group of a Cluster."""

import re
from typing import Any

import pulumi

from lab.plugins.eks.inputs import Inputs, given, require, unknown
from lab.plugins.eks.resources import Component, Resource

TOKEN = "eks:index:ManagedNodeGroup"
#: Inputs that go to the node group as they are.
SAME = (
    "amiType capacityType diskSize forceUpdateVersion instanceTypes labels launchTemplate nodeGroupName "
    "nodeGroupNamePrefix releaseVersion remoteAccess tags taints"
)
KNOWN = f"{SAME} cluster clusterName nodeRole nodeRoleArn subnetIds scalingConfig version operatingSystem gpu " + (
    "ignoreScalingChanges"
)
SYSTEMS = {"AL2023": "AL2023", "RECOMMENDED": "AL2023"}
#: Families of AWS's own processors, https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
ARM = re.compile(r"^(a1|[a-z]+\d+[a-z-]*g[a-z-]*)\.")


def check(name: str, inputs: Inputs) -> None:
    failures = list(unknown(inputs, KNOWN))
    if "cluster" not in inputs:
        failures.append(("cluster", "is required"))
    if ("nodeRole" in inputs) == ("nodeRoleArn" in inputs):
        failures.append(("nodeRoleArn", "exactly one of nodeRole and nodeRoleArn is required"))
    system = inputs.get("operatingSystem")
    if isinstance(system, str) and system not in SYSTEMS:
        failures.append(("operatingSystem", "must be AL2023: the lab has no other image"))
    require(TOKEN, name, failures)


class ManagedNodeGroup(pulumi.ComponentResource):
    """The child of pulumi-eks' ManagedNodeGroup; `state` are its outputs."""

    def __init__(self, name: str, inputs: Inputs, opts: pulumi.ResourceOptions) -> None:
        check(name, inputs)
        super().__init__(TOKEN, name, None, opts)
        core = core_of(inputs["cluster"])
        cluster = core.apply(lambda found: found["cluster"])
        role = inputs.get("nodeRole")
        ignored = ["scalingConfig.desiredSize"] if inputs.get("ignoreScalingChanges") else []
        same = {key: inputs[key] for key in SAME.split() if key in inputs}
        group = Resource(
            "aws:eks/nodeGroup:NodeGroup",
            name,
            {
                "amiType": ami_type(inputs),
                **same,
                "clusterName": inputs.get("clusterName", cluster.apply(lambda found: found.output("name"))),
                "nodeRoleArn": inputs.get("nodeRoleArn") or pulumi.Output.from_input(role).apply(arn_of),
                "subnetIds": inputs.get("subnetIds", core.apply(lambda found: found["subnetIds"])),
                # The original's default.
                "scalingConfig": inputs.get("scalingConfig", {"desiredSize": 2, "minSize": 1, "maxSize": 2}),
                "version": inputs.get("version", cluster.apply(lambda found: found.output("version"))),
            },
            pulumi.ResourceOptions(parent=self, ignore_changes=ignored),
        )
        self.state: dict[str, Any] = given(nodeGroup=group, placementGroupName="")
        self.register_outputs(self.state)


def core_of(cluster: Any) -> pulumi.Output[Any]:
    """The core data of `cluster`, which is a Cluster or its core data itself."""
    return pulumi.Output.from_input(cluster).apply(
        lambda found: found.output("core") if isinstance(found, Component) else found
    )


def arn_of(role: Any) -> Any:
    return role.output("arn") if isinstance(role, Resource) else role["arn"]


def ami_type(inputs: Inputs) -> pulumi.Output[str]:
    """The EKS AMI type of AL2023 for the processor that the instance types have."""
    types = pulumi.Output.from_input(inputs.get("instanceTypes") or ["t3.medium"])
    standard = "NVIDIA" if inputs.get("gpu") else "STANDARD"
    return types.apply(lambda names: f"AL2023_{'ARM_64' if ARM.match(names[0]) else 'x86_64'}_{standard}")
