"""EKS: clusters, node groups, add-ons, access entries."""

from collections.abc import Callable, Mapping
from typing import Any

from lab.plugins.aws.compare import project, same
from lab.plugins.aws.shapes import parameters, plain
from lab.plugins.aws.tags import EKS
from lab.plugins.aws.types import Call, Inputs, Type, Update
from lab.plugins.provider import ProviderError
from lab.plugins.values import Values

VPC = Inputs(
    required="subnetIds",
    optional="securityGroupIds endpointPrivateAccess endpointPublicAccess publicAccessCidrs "
    "clusterSecurityGroupId vpcId",
)
#: Input of a node group that UpdateNodegroupConfig changes.
NODE_CONFIG = "scalingConfig updateConfig nodeRepairConfig labels taints"


def settled(look: Callable[[Call], Values], good: str, bad: tuple[str, ...]) -> Callable[[Call], None]:
    """A `ready`: waits for status `good`; ProviderError with what EKS says of its health at one of `bad`."""

    def ready(call: Call) -> None:
        def done() -> bool:
            answer = look(call)
            if answer["status"] in bad:
                issues = [str(issue.get("message", issue.get("code"))) for issue in _issues(answer)]
                raise ProviderError(f"{call.id} is {answer['status']}: {'; '.join(issues) or 'no reason given'}")
            return bool(answer["status"] == good)

        call.until(done, f"{call.id} {good}")

    return ready


def gone(look: Callable[[Call], Values], start: Callable[[Call], Any]) -> Callable[[Call], None]:
    """A `delete`: starts it and waits until EKS knows the resource no more."""

    def delete(call: Call) -> None:
        start(call)

        def done() -> bool:
            try:
                answer = look(call)
            except call.api.exceptions.ResourceNotFoundException:
                return True
            if answer["status"] == "DELETE_FAILED":
                raise ProviderError("; ".join(issue.get("message", "") for issue in _issues(answer)) or "DELETE_FAILED")
            return False

        call.until(done, f"{call.id} deleted")

    return delete


def follow(call: Call, answer: Mapping[str, Any]) -> None:
    """Waits for an update of a cluster, node group or add-on; ProviderError with EKS's reasons when it fails."""
    place = dict(zip(("name", "nodegroupName"), call.id.split(":", 1), strict=False))
    if call.type is TYPES["aws:eks/addon:Addon"]:
        place = dict(zip(("name", "addonName"), call.id.split(":", 1), strict=False))

    def done() -> bool:
        update = call.api.describe_update(updateId=answer["update"]["id"], **place)["update"]
        if update["status"] in ("Failed", "Cancelled"):
            reasons = "; ".join(error.get("errorMessage", "") for error in update.get("errors", []))
            raise ProviderError(f"update {update['type']} {update['status']}: {reasons or 'no reason given'}")
        return bool(update["status"] == "Successful")

    call.until(done, f"update of {call.id}")


def adopt(look: Callable[[Call], Values], name: Callable[[Call], str], of: Mapping[str, str]) -> Callable[[Call], Any]:
    """An `adopt`: what is there is ours, from a run that was interrupted, if it is what the inputs ask for."""

    def find(call: Call) -> str | None:
        found = name(call)
        try:
            answer = plain(look(Call(**{**vars(call), "id": found})))
        except call.api.exceptions.ClientError:
            return None
        alive = answer.get("status") in (None, "CREATING", "ACTIVE", "UPDATING")
        wanted = {member: call.inputs[name] for name, member in of.items() if call.inputs.get(name) is not None}
        asked = all(same(project(answer.get(member), value), value) for member, value in wanted.items())
        return found if alive and asked else None

    return find


def _issues(answer: Mapping[str, Any]) -> list[Values]:
    return list(answer.get("health", {}).get("issues", []))


def cluster(call: Call) -> Values:
    return dict(call.api.describe_cluster(name=call.id)["cluster"])


def create_cluster(call: Call) -> str:
    return str(
        call.send("create_cluster", **_logging(call), **_tagged(call), clientRequestToken=call.token())["cluster"][
            "name"
        ]
    )


def _logging(call: Call) -> Values:
    every = ("api", "audit", "authenticator", "controllerManager", "scheduler")
    wanted = call.inputs.get("enabledClusterLogTypes", [])
    setups = [{"types": sorted(wanted), "enabled": True}] if wanted else []
    if call.old.get("enabledClusterLogTypes"):
        setups.append({"types": [name for name in every if name not in wanted], "enabled": False})
    return {"logging": {"clusterLogging": [setup for setup in setups if setup["types"]]}} if setups else {}


def _tagged(call: Call) -> Values:
    return EKS.create("", call.tags) if call.tags else {}


def cluster_config(names: str) -> Update:
    """An update of some inputs by UpdateClusterConfig, which takes one concern at a time."""
    return Update(names, lambda call: follow(call, call.send("update_cluster_config", "name", *names.split())))


def update_vpc(call: Call) -> None:
    """Endpoint access and subnets are two updates to EKS."""
    old, new = call.old.get("vpcConfig", {}), call.inputs["vpcConfig"]
    access = ("endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs")
    for part in (access, ("subnetIds", "securityGroupIds")):
        wanted = {name: new[name] for name in part if name in new}
        if wanted and not same(wanted, {name: old.get(name) for name in wanted}):
            follow(call, call.api.update_cluster_config(name=call.id, resourcesVpcConfig=wanted))


def update_access(call: Call) -> None:
    mode = call.inputs.get("accessConfig", {}).get("authenticationMode")
    if mode and mode != call.old.get("accessConfig", {}).get("authenticationMode"):
        follow(call, call.api.update_cluster_config(name=call.id, accessConfig={"authenticationMode": mode}))


def node_group(call: Call) -> Values:
    name, group = call.id.split(":", 1)
    return dict(call.api.describe_nodegroup(clusterName=name, nodegroupName=group)["nodegroup"])


def create_node_group(call: Call) -> str:
    extra = {"taints": _taints(call.inputs["taints"])} if call.inputs.get("taints") else {}
    answer = call.send("create_nodegroup", **extra, **_tagged(call), clientRequestToken=call.token())["nodegroup"]
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


def addon(call: Call) -> Values:
    name, addon_name = call.id.split(":", 1)
    return dict(call.api.describe_addon(clusterName=name, addonName=addon_name)["addon"])


def create_addon(call: Call) -> str:
    conflicts = call.inputs.get("resolveConflictsOnCreate")
    answer = call.send("create_addon", resolveConflicts=conflicts, **_tagged(call), clientRequestToken=call.token())[
        "addon"
    ]
    return f"{answer['clusterName']}:{answer['addonName']}"


def update_addon(call: Call) -> None:
    conflicts = call.inputs.get("resolveConflictsOnUpdate")
    follow(call, call.send("update_addon", resolveConflicts=conflicts))


def delete_addon(call: Call) -> Any:
    name, addon_name = call.id.split(":", 1)
    keep = {"preserve": True} if call.state.get("preserve") else {}
    return call.api.delete_addon(clusterName=name, addonName=addon_name, **keep)


def entry_id(call: Call) -> str:
    return f"{call.inputs['clusterName']}:{call.inputs['principalArn']}"


def entry(call: Call) -> Values:
    name, principal = call.id.split(":", 1)
    return dict(call.api.describe_access_entry(clusterName=name, principalArn=principal)["accessEntry"])


def create_entry(call: Call) -> str:
    call.send(
        "create_access_entry", **_tagged(call), username=call.inputs.get("userName"), clientRequestToken=call.token()
    )
    return entry_id(call)


def associate(call: Call) -> str:
    call.send("associate_access_policy")
    return "#".join(call.inputs[name] for name in ("clusterName", "principalArn", "policyArn"))


def association(call: Call) -> Values | None:
    name, principal, policy = call.id.split("#")
    answer = call.api.list_associated_access_policies(clusterName=name, principalArn=principal)
    return next((dict(p) for p in answer["associatedAccessPolicies"] if p["policyArn"] == policy), None)


FAILED = ("CREATE_FAILED", "FAILED", "DELETING", "DELETE_FAILED")

TYPES = {
    "aws:eks/cluster:Cluster": Type(
        "eks",
        Inputs(
            required="roleArn vpcConfig",
            optional="version enabledClusterLogTypes deletionProtection forceUpdateVersion "
            "defaultAddonsToRemoves tags region",
            defaults={"bootstrapSelfManagedAddons": True},
            blocks={
                "vpcConfig": VPC,
                "accessConfig": Inputs(optional="authenticationMode bootstrapClusterCreatorAdminPermissions"),
                "upgradePolicy": Inputs(optional="supportType"),
                "zonalShiftConfig": Inputs(optional="enabled"),
                "encryptionConfig": Inputs(required="resources", blocks={"provider": Inputs(required="keyArn")}),
                "kubernetesNetworkConfig": Inputs(
                    optional="ipFamily serviceIpv4Cidr serviceIpv6Cidr",
                    blocks={"elasticLoadBalancing": Inputs(optional="enabled")},
                ),
                "computeConfig": Inputs(optional="enabled nodePools nodeRoleArn"),
                "storageConfig": Inputs(blocks={"blockStorage": Inputs(optional="enabled")}),
            },
            auto="name",
            auto_length=100,
        ),
        create=create_cluster,
        ready=settled(cluster, "ACTIVE", FAILED),
        read=cluster,
        update=(
            Update("version", lambda call: follow(call, call.send("update_cluster_version", "name", "version"))),
            Update("vpcConfig", update_vpc),
            Update("accessConfig", update_access),
            Update(
                "enabledClusterLogTypes",
                lambda call: follow(call, call.api.update_cluster_config(name=call.id, **_logging(call))),
            ),
            cluster_config("upgradePolicy"),
            cluster_config("zonalShiftConfig"),
            cluster_config("deletionProtection"),
            cluster_config("computeConfig storageConfig"),
        ),
        delete=gone(cluster, lambda call: call.api.delete_cluster(name=call.id)),
        tagging=EKS,
        outputs="arn certificateAuthority createdAt endpoint platformVersion status version accessConfig "
        "kubernetesNetworkConfig upgradePolicy vpcConfig",
        rename={"vpcConfig": "resourcesVpcConfig"},
        local="forceUpdateVersion",
        volatile="platformVersion status",
        paths={
            "identities": "identity.[{oidcs: [oidc]}]",
            "enabledClusterLogTypes": "logging.clusterLogging[?enabled].types[]",
        },
        computed={
            # bootstrapClusterCreatorAdminPermissions is not in the answer: known from the inputs only.
            "accessConfig": lambda call, answer: {
                **call.inputs.get("accessConfig", {}),
                **answer.get("accessConfig", {}),
            },
        },
        busy=("ResourceInUseException",),
        adopt=adopt(
            cluster,
            lambda call: str(call.inputs["name"]),
            {"roleArn": "roleArn", "vpcConfig": "resourcesVpcConfig", "version": "version"},
        ),
        timeout=1800,
    ),
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
    "aws:eks/addon:Addon": Type(
        "eks",
        Inputs(
            required="clusterName addonName",
            optional="addonVersion configurationValues serviceAccountRoleArn preserve resolveConflictsOnCreate "
            "resolveConflictsOnUpdate tags region",
            blocks={"podIdentityAssociations": Inputs(required="roleArn serviceAccount")},
            lists="podIdentityAssociations",
        ),
        create=create_addon,
        ready=settled(addon, "ACTIVE", ("CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")),
        read=addon,
        update=(
            Update("addonVersion configurationValues serviceAccountRoleArn podIdentityAssociations", update_addon),
        ),
        delete=gone(addon, delete_addon),
        tagging=EKS,
        outputs="arn createdAt modifiedAt addonVersion",
        rename={"arn": "addonArn"},
        local="preserve resolveConflictsOnCreate resolveConflictsOnUpdate",
        volatile="modifiedAt",
        adopt=adopt(
            addon,
            lambda call: f"{call.inputs['clusterName']}:{call.inputs['addonName']}",
            {"addonVersion": "addonVersion"},
        ),
    ),
    "aws:eks/accessEntry:AccessEntry": Type(
        "eks",
        Inputs(
            required="clusterName principalArn",
            optional="kubernetesGroups userName tags region",
            defaults={"type": "STANDARD"},
        ),
        create=create_entry,
        read=entry,
        update=(
            Update(
                "kubernetesGroups userName",
                lambda call: call.api.update_access_entry(
                    clusterName=call.inputs["clusterName"],
                    principalArn=call.inputs["principalArn"],
                    kubernetesGroups=call.inputs.get("kubernetesGroups", []),
                    **({"username": call.inputs["userName"]} if call.inputs.get("userName") else {}),
                ),
            ),
        ),
        delete=lambda call: call.api.delete_access_entry(
            clusterName=call.state["clusterName"], principalArn=call.state["principalArn"]
        ),
        tagging=EKS,
        outputs="accessEntryArn createdAt modifiedAt userName kubernetesGroups",
        volatile="modifiedAt",
        adopt=adopt(entry, entry_id, {"type": "type", "kubernetesGroups": "kubernetesGroups"}),
    ),
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": Type(
        "eks",
        Inputs(
            required="clusterName principalArn policyArn accessScope",
            optional="region",
            blocks={"accessScope": Inputs(required="type", optional="namespaces")},
        ),
        create=associate,
        read=association,
        update=(Update("accessScope", associate),),
        delete=lambda call: call.api.disassociate_access_policy(
            clusterName=call.state["clusterName"],
            principalArn=call.state["principalArn"],
            policyArn=call.state["policyArn"],
        ),
        outputs="associatedAt modifiedAt",
        volatile="modifiedAt",
    ),
}
