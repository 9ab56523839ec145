"""KMS: keys and their aliases."""

from lab.plugins.aws.types import Call, Inputs, Tagging, Type, Update
from lab.plugins.values import Values

#: States of a key whose end is settled: for Pulumi it is gone, though AWS keeps it for the window.
ENDING = ("PendingDeletion", "PendingReplicaDeletion")


def read_key(call: Call) -> Values | None:
    key: Values = call.api.describe_key(KeyId=call.id)["KeyMetadata"]
    if key["KeyState"] in ENDING:
        return None
    rotation = call.api.get_key_rotation_status(KeyId=call.id)
    return {
        **key,
        "Policy": call.api.get_key_policy(KeyId=call.id, PolicyName="default")["Policy"],
        "EnableKeyRotation": rotation["KeyRotationEnabled"],
        "RotationPeriodInDays": rotation.get("RotationPeriodInDays"),
        "Tags": call.api.list_resource_tags(KeyId=call.id)["Tags"],
    }


def set_rotation(call: Call) -> None:
    if call.inputs["enableKeyRotation"]:
        period = call.inputs.get("rotationPeriodInDays")
        call.api.enable_key_rotation(KeyId=call.id, **({"RotationPeriodInDays": int(period)} if period else {}))
    elif call.old.get("enableKeyRotation"):
        call.api.disable_key_rotation(KeyId=call.id)


def set_enabled(call: Call) -> None:
    if call.inputs["isEnabled"]:
        _ = call.old and call.api.enable_key(KeyId=call.id)
    else:
        call.api.disable_key(KeyId=call.id)


def create_key(call: Call) -> str:
    answer = call.send("create_key", **(KEY_TAGS.create("", call.tags) if call.tags else {}))
    return str(answer["KeyMetadata"]["KeyId"])


KEY_TAGS = Tagging(
    create=lambda _, tags: {"Tags": [{"TagKey": key, "TagValue": value} for key, value in tags.items()]},
    add=lambda call, tags: call.api.tag_resource(
        KeyId=call.id, Tags=[{"TagKey": key, "TagValue": value} for key, value in tags.items()]
    ),
    remove=lambda call, keys: call.api.untag_resource(KeyId=call.id, TagKeys=keys),
    read=lambda answer: {tag["TagKey"]: tag["TagValue"] for tag in answer.get("Tags") or []},
)


def create_alias(call: Call) -> str:
    call.api.create_alias(AliasName=call.inputs["name"], TargetKeyId=call.inputs["targetKeyId"])
    return str(call.inputs["name"])


def read_alias(call: Call) -> Values | None:
    for page in call.api.get_paginator("list_aliases").paginate():
        for alias in page["Aliases"]:
            if alias["AliasName"] == call.id:
                return dict(alias)
    return None


TYPES = {
    "aws:kms/key:Key": Type(
        "kms",
        Inputs(
            optional="policy deletionWindowInDays rotationPeriodInDays tags region",
            defaults={
                "description": "",
                "keyUsage": "ENCRYPT_DECRYPT",
                "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
                "enableKeyRotation": False,
                "isEnabled": True,
                "multiRegion": False,
                "bypassPolicyLockoutSafetyCheck": False,
            },
        ),
        create=create_key,
        read=read_key,
        update=(
            Update("enableKeyRotation rotationPeriodInDays", set_rotation, on_create=True),
            Update("isEnabled", set_enabled, on_create=True),
            Update(
                "description",
                lambda call: call.api.update_key_description(KeyId=call.id, Description=call.inputs["description"]),
            ),
            Update(
                "policy",
                lambda call: call.api.put_key_policy(KeyId=call.id, PolicyName="default", Policy=call.inputs["policy"]),
            ),
        ),
        delete=lambda call: call.api.schedule_key_deletion(
            KeyId=call.id, PendingWindowInDays=int(call.state.get("deletionWindowInDays") or 30)
        ),
        tagging=KEY_TAGS,
        outputs="arn keyId policy",
        rename={"customerMasterKeySpec": "KeySpec", "isEnabled": "Enabled"},
        local="deletionWindowInDays bypassPolicyLockoutSafetyCheck",
        gone=("KMSInvalidStateException",),
    ),
    "aws:kms/alias:Alias": Type(
        "kms",
        Inputs(required="name targetKeyId", optional="region"),
        create=create_alias,
        read=read_alias,
        update=(
            Update(
                "targetKeyId",
                lambda call: call.api.update_alias(AliasName=call.id, TargetKeyId=call.inputs["targetKeyId"]),
            ),
        ),
        delete="delete_alias",
        id_parameter="AliasName",
        outputs="arn targetKeyArn",
        rename={"name": "AliasName", "arn": "AliasArn"},
        computed={
            "targetKeyArn": lambda call, answer: call.arn(f"key/{answer['TargetKeyId'].rpartition('/')[2]}"),
        },
    ),
}
