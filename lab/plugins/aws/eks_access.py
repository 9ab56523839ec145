"""EKS add-ons, access entries and what they allow, roles of pods."""

from typing import Any

from lab.plugins.aws.eks_waiting import adopt, follow, gone, settled, tagged
from lab.plugins.aws.tags import EKS
from lab.plugins.aws.types import Call, Inputs, Type, Update
from lab.plugins.values import Values


def addon(call: Call) -> Values:
    name, addon_name = call.id.split(":", 1)
    return dict(call.api.describe_addon(clusterName=name, addonName=addon_name)["addon"])


def create_addon(call: Call) -> str:
    conflicts = call.inputs.get("resolveConflictsOnCreate")
    answer = call.send("create_addon", resolveConflicts=conflicts, **tagged(call), clientRequestToken=call.token())[
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
        "create_access_entry", **tagged(call), username=call.inputs.get("userName"), clientRequestToken=call.token()
    )
    return entry_id(call)


def associate(call: Call) -> str:
    call.send("associate_access_policy")
    return "#".join(call.inputs[name] for name in ("clusterName", "principalArn", "policyArn"))


def association(call: Call) -> Values | None:
    name, principal, policy = call.id.split("#")
    answer = call.api.list_associated_access_policies(clusterName=name, principalArn=principal)
    return next((dict(p) for p in answer["associatedAccessPolicies"] if p["policyArn"] == policy), None)


def cluster_of(call: Call) -> str:
    return str(call.inputs.get("clusterName") or call.state["clusterName"])


def identity(call: Call) -> Values:
    answer = call.api.describe_pod_identity_association(clusterName=cluster_of(call), associationId=call.id)
    return dict(answer["association"])


def create_identity(call: Call) -> str:
    answer = call.send("create_pod_identity_association", **tagged(call), clientRequestToken=call.token())
    return str(answer["association"]["associationId"])


def adopt_identity(call: Call) -> str | None:
    """An account has one association: it is ours if it gives the same role."""
    where = {name: call.inputs[name] for name in ("clusterName", "namespace", "serviceAccount")}
    for each in call.api.list_pod_identity_associations(**where)["associations"]:
        if identity(Call(**{**vars(call), "id": each["associationId"]}))["roleArn"] == call.inputs["roleArn"]:
            return str(each["associationId"])
    return None


TYPES = {
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
    ),
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": Type(
        "eks",
        Inputs(required="clusterName namespace serviceAccount roleArn", optional="tags region"),
        create=create_identity,
        read=identity,
        update=(
            Update(
                "roleArn",
                lambda call: call.api.update_pod_identity_association(
                    clusterName=cluster_of(call), associationId=call.id, roleArn=call.inputs["roleArn"]
                ),
            ),
        ),
        delete=lambda call: call.api.delete_pod_identity_association(
            clusterName=cluster_of(call), associationId=call.id
        ),
        tagging=EKS,
        outputs="associationArn associationId",
        adopt=adopt_identity,
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
