"""EKS managed node groups."""

from lab.plugins.aws.eks_waiting import FAILED, adopt, follow, gone, settled, tagged
from lab.plugins.aws.shapes import parameters
from lab.plugins.aws.tags import EKS
from lab.plugins.aws.types import Call, Inputs, Type, Update
from lab.plugins.values import Values

#: Input of a node group that UpdateNodegroupConfig changes.
NODE_CONFIG = "scalingConfig updateConfig nodeRepairConfig labels taints"


def node_group(call: Call) -> Values:
    name, group = call.id.split(":", 1)
    return dict(call.api.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"])


def create_node_group(call: Call) -> str:
    extra = {"taints": _taints(call.inputs["taints"])} if call.inputs.get("taints") else {}
    answer = call.send("create_nodegroup", **extra, **tagged(call), clientRequestToken=call.token())["nodegroup"]
    return f"{answer['clusterName']}:{answer['nodegroupName']}"


def update_node_config(call: Call) -> None:
    """Scaling, labels and taints; labels and taints by what goes and what comes."""
    name, group = call.id.split(":", 1)
    shape = call.api.meta.service_model.operation_model("UpdateNodegroupConfig").input_shape
    names = ("scalingConfig", "updateConfig", "nodeRepairConfig")
    sent = parameters({key: call.inputs[key] for key in names if key in call.inputs}, shape, {})
    old, new = call.old.get("labels", {}), call.inputs.get("labels", {})
    if old != new:
        sent["labels"] = {"addOrUpdateLabels": new, "removeLabels": [key for key in old if key not in new]}
    old_taints, new_taints = (_taints(values.get("taints", [])) for values in (call.old, call.inputs))
    if old_taints != new_taints:
        stale = [taint for taint in old_taints if taint not in new_taints]
        sent["taints"] = {"addOrUpdateTaints": new_taints, "removeTaints": stale}
    follow(call, call.api.update_nodegroup_config(clusterName=name, nodegroupName=group, **sent))


def update_node_version(call: Call) -> None:
    """Rolls the nodes to another release, version or launch template version."""
    name, group = call.id.split(":", 1)
    changed = [key for key in ("version", "releaseVersion", "launchTemplate") if call.changed(key)]
    sent = {key: call.inputs[key] for key in changed if call.inputs.get(key) is not None}
    if "launchTemplate" in sent:
        sent["launchTemplate"] = {key: str(value) for key, value in sent["launchTemplate"].items()}
    force = {"force": True} if call.inputs.get("forceUpdateVersion") else {}
    follow(call, call.api.update_nodegroup_version(clusterName=name, nodegroupName=group, **sent, **force))


def _taints(taints: list[Values]) -> list[Values]:
    return [{name: value for name, value in taint.items() if value is not None} for taint in taints]


TYPES = {
    "aws:eks/nodeGroup:NodeGroup": Type(
        "eks",
        Inputs(
            required="clusterName nodeRoleArn subnetIds scalingConfig",
            optional="nodeGroupNamePrefix amiType capacityType diskSize instanceTypes labels releaseVersion version "
            "forceUpdateVersion tags region",
            blocks={
                "scalingConfig": Inputs(required="desiredSize maxSize minSize"),
                "updateConfig": Inputs(optional="maxUnavailable maxUnavailablePercentage updateStrategy"),
                "launchTemplate": Inputs(required="version", optional="id name"),
                "remoteAccess": Inputs(optional="ec2SshKey sourceSecurityGroupIds"),
                "taints": Inputs(required="key effect", optional="value"),
                "nodeRepairConfig": Inputs(optional="enabled"),
            },
            lists="taints",
            auto="nodeGroupName",
            auto_length=63,
        ),
        create=create_node_group,
        ready=settled(node_group, "ACTIVE", FAILED),
        read=node_group,
        update=(
            Update("version releaseVersion launchTemplate", update_node_version),
            Update(NODE_CONFIG, update_node_config),
        ),
        delete=gone(
            node_group,
            lambda call: call.api.delete_nodegroup(
                clusterName=call.id.split(":", 1)[0], nodegroupName=call.id.split(":", 1)[1]
            ),
        ),
        tagging=EKS,
        outputs="arn status version releaseVersion amiType capacityType diskSize instanceTypes updateConfig",
        rename={"nodeRoleArn": "nodeRole", "subnetIds": "subnets", "arn": "nodegroupArn"},
        local="nodeGroupNamePrefix forceUpdateVersion",
        volatile="status",
        paths={
            "resources": "resources.[{autoscalingGroups: autoScalingGroups || `[]`, "
            "remoteAccessSecurityGroupId: remoteAccessSecurityGroup || ''}]"
        },
        busy=("ResourceInUseException",),
        adopt=adopt(
            node_group,
            lambda call: f"{call.inputs['clusterName']}:{call.inputs['nodeGroupName']}",
            {"nodeRoleArn": "nodeRole", "subnetIds": "subnets", "releaseVersion": "releaseVersion"},
        ),
        timeout=3600,
    ),
}
