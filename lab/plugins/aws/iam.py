"""IAM: roles and their policies, instance profiles, managed policies."""

import json
from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.tags import iam as tagging
from lab.plugins.aws.types import Call, Inputs, Type, Update
from lab.plugins.values import Values

MAXIMUM_VERSIONS = 5  # of a managed policy: AWS's limit


def text(document: Any) -> str:
    """A policy document, which botocore parses, as the JSON text that Pulumi has."""
    return document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))


def delete_role(call: Call) -> None:
    """Removes the role from its instance profiles first and, with forceDetachPolicies, its policies from it."""
    for profile in call.api.list_instance_profiles_for_role(RoleName=call.id)["InstanceProfiles"]:
        call.api.remove_role_from_instance_profile(InstanceProfileName=profile["InstanceProfileName"], RoleName=call.id)
    if call.state.get("forceDetachPolicies"):
        for policy in call.api.list_attached_role_policies(RoleName=call.id)["AttachedPolicies"]:
            call.api.detach_role_policy(RoleName=call.id, PolicyArn=policy["PolicyArn"])
        for name in call.api.list_role_policies(RoleName=call.id)["PolicyNames"]:
            call.api.delete_role_policy(RoleName=call.id, PolicyName=name)
    call.api.delete_role(RoleName=call.id)


def set_boundary(call: Call) -> None:
    if boundary := call.inputs.get("permissionsBoundary"):
        call.api.put_role_permissions_boundary(RoleName=call.id, PermissionsBoundary=boundary)
    else:
        call.api.delete_role_permissions_boundary(RoleName=call.id)


def put_policy(call: Call) -> str:
    role, name = call.inputs["role"], call.inputs["name"]
    call.api.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=call.inputs["policy"])
    return f"{role}:{name}"


def read_policy(call: Call) -> Values:
    role, name = call.id.split(":", 1)
    answer = call.api.get_role_policy(RoleName=role, PolicyName=name)
    return {"role": role, "name": name, "policy": text(answer["PolicyDocument"])}


def attach(call: Call) -> str:
    role, arn = call.inputs["role"], call.inputs["policyArn"]
    call.api.attach_role_policy(RoleName=role, PolicyArn=arn)
    return f"{role}/{arn}"


def read_attachment(call: Call) -> Values | None:
    role, arn = call.id.split("/", 1)
    for page in call.api.get_paginator("list_attached_role_policies").paginate(RoleName=role):
        if any(policy["PolicyArn"] == arn for policy in page["AttachedPolicies"]):
            return {"role": role, "policyArn": arn}
    return None


def set_profile_role(call: Call) -> None:
    name = call.id
    if role := call.old.get("role"):
        call.api.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
    if role := call.inputs.get("role"):
        call.api.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)


def delete_profile(call: Call) -> None:
    for role in call.api.get_instance_profile(InstanceProfileName=call.id)["InstanceProfile"]["Roles"]:
        call.api.remove_role_from_instance_profile(InstanceProfileName=call.id, RoleName=role["RoleName"])
    call.api.delete_instance_profile(InstanceProfileName=call.id)


def read_managed(call: Call) -> Values:
    policy = call.api.get_policy(PolicyArn=call.id)["Policy"]
    version = call.api.get_policy_version(PolicyArn=call.id, VersionId=policy["DefaultVersionId"])
    return {**policy, "policy": text(version["PolicyVersion"]["Document"])}


def new_version(call: Call) -> None:
    """A managed policy changes by a new default version; the oldest goes where there are too many."""
    versions = call.api.list_policy_versions(PolicyArn=call.id)["Versions"]
    if len(versions) >= MAXIMUM_VERSIONS:
        oldest = min((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"])
        call.api.delete_policy_version(PolicyArn=call.id, VersionId=oldest["VersionId"])
    call.api.create_policy_version(PolicyArn=call.id, PolicyDocument=call.inputs["policy"], SetAsDefault=True)


def delete_managed(call: Call) -> None:
    for version in call.api.list_policy_versions(PolicyArn=call.id)["Versions"]:
        if not version["IsDefaultVersion"]:
            call.api.delete_policy_version(PolicyArn=call.id, VersionId=version["VersionId"])
    call.api.delete_policy(PolicyArn=call.id)


def document(member: str) -> Any:
    """A `computed`: the policy text at `member` of the answer."""

    def read(_: Call, answer: Mapping[str, Any]) -> str:
        return text(answer[member])

    return read


TYPES = {
    "aws:iam/role:Role": Type(
        "iam",
        Inputs(
            required="assumeRolePolicy",
            optional="namePrefix description permissionsBoundary tags",
            defaults={"path": "/", "maxSessionDuration": 3600, "forceDetachPolicies": False},
            auto="name",
            auto_length=64,
        ),
        create="create_role",
        result="Role.RoleName",
        read=lambda call: call.api.get_role(RoleName=call.id)["Role"],
        update=(
            Update(
                "assumeRolePolicy",
                lambda call: call.api.update_assume_role_policy(
                    RoleName=call.id, PolicyDocument=call.inputs["assumeRolePolicy"]
                ),
            ),
            Update(
                "description maxSessionDuration",
                lambda call: call.api.update_role(
                    RoleName=call.id,
                    Description=call.inputs.get("description", ""),
                    MaxSessionDuration=call.inputs["maxSessionDuration"],
                ),
            ),
            Update("permissionsBoundary", set_boundary),
        ),
        delete=delete_role,
        tagging=tagging("role", "RoleName"),
        outputs="arn createDate uniqueId",
        rename={"name": "RoleName", "uniqueId": "RoleId", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        local="namePrefix forceDetachPolicies",
        computed={
            "assumeRolePolicy": document("AssumeRolePolicyDocument"),
        },
        paths={"permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn"},
        busy=("DeleteConflict",),
        timeout=120,
    ),
    "aws:iam/rolePolicy:RolePolicy": Type(
        "iam",
        Inputs(required="role policy", optional="namePrefix", auto="name", auto_length=128),
        create=put_policy,
        read=read_policy,
        update=(Update("policy", put_policy),),
        delete=lambda call: call.api.delete_role_policy(
            RoleName=call.id.split(":", 1)[0], PolicyName=call.id.split(":", 1)[1]
        ),
        local="namePrefix",
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Type(
        "iam",
        Inputs(required="role policyArn"),
        create=attach,
        read=read_attachment,
        delete=lambda call: call.api.detach_role_policy(
            RoleName=call.id.split("/", 1)[0], PolicyArn=call.id.split("/", 1)[1]
        ),
    ),
    "aws:iam/instanceProfile:InstanceProfile": Type(
        "iam",
        Inputs(optional="namePrefix role tags", defaults={"path": "/"}, auto="name", auto_length=128),
        create="create_instance_profile",
        result="InstanceProfile.InstanceProfileName",
        read=lambda call: call.api.get_instance_profile(InstanceProfileName=call.id)["InstanceProfile"],
        update=(Update("role", set_profile_role, on_create=True),),
        delete=delete_profile,
        tagging=tagging("instance_profile", "InstanceProfileName"),
        outputs="arn createDate uniqueId",
        rename={"name": "InstanceProfileName", "uniqueId": "InstanceProfileId"},
        local="namePrefix",
        paths={"role": "Roles[0].RoleName"},
    ),
    "aws:iam/policy:Policy": Type(
        "iam",
        Inputs(
            required="policy",
            optional="namePrefix description tags",
            defaults={"path": "/"},
            auto="name",
            auto_length=128,
        ),
        create="create_policy",
        result="Policy.Arn",
        read=read_managed,
        update=(Update("policy", new_version),),
        delete=delete_managed,
        tagging=tagging("policy", "PolicyArn"),
        outputs="arn policyId",
        rename={"name": "PolicyName", "policy": "PolicyDocument"},
        local="namePrefix",
        computed={"policy": document("policy")},
        busy=("DeleteConflict",),
        timeout=120,
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Type(
        "iam",
        Inputs(required="url clientIdLists", optional="thumbprintLists tags"),
        create="create_open_id_connect_provider",
        result="OpenIDConnectProviderArn",
        read=lambda call: call.api.get_open_id_connect_provider(OpenIDConnectProviderArn=call.id),
        update=(
            # Another list of clients means a new provider here: moto cannot change it.
            Update(
                "thumbprintLists",
                lambda call: call.api.update_open_id_connect_provider_thumbprint(
                    OpenIDConnectProviderArn=call.id, ThumbprintList=call.inputs["thumbprintLists"]
                ),
            ),
        ),
        delete=lambda call: call.api.delete_open_id_connect_provider(OpenIDConnectProviderArn=call.id),
        tagging=tagging("open_id_connect_provider", "OpenIDConnectProviderArn"),
        outputs="arn",
        rename={"clientIdLists": "ClientIDList", "thumbprintLists": "ThumbprintList"},
        # IAM tells the issuer without its scheme.
        computed={"arn": lambda call, _: call.id, "url": lambda _, answer: f"https://{answer['Url']}"},
    ),
}
