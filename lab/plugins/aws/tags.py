"""How each AWS service takes tags."""

from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.types import Call, Tagging


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """{key: value} -> [{"Key": key, "Value": value}]."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def unpaired(tags: Any) -> dict[str, str]:
    """[{"Key": key, "Value": value}] -> {key: value}."""
    return {tag["Key"]: tag["Value"] for tag in tags or []}


def specification(kind: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """EC2's tags of what an operation makes."""
    return [{"ResourceType": kind, "Tags": pairs(tags)}]


EC2 = Tagging(
    create=lambda kind, tags: {"TagSpecifications": specification(kind, tags)},
    add=lambda call, tags: call.api.create_tags(Resources=[ec2_id(call)], Tags=pairs(tags)),
    remove=lambda call, keys: call.api.delete_tags(Resources=[ec2_id(call)], Tags=[{"Key": key} for key in keys]),
    read=lambda answer: unpaired(answer.get("Tags")),
)

EKS = Tagging(
    create=lambda _, tags: {"tags": dict(tags)},
    add=lambda call, tags: call.api.tag_resource(resourceArn=eks_arn(call), tags=dict(tags)),
    remove=lambda call, keys: call.api.untag_resource(resourceArn=eks_arn(call), tagKeys=keys),
    read=lambda answer: dict(answer.get("tags") or {}),
)


def iam(noun: str, parameter: str) -> Tagging:
    """IAM has operations of its own for each `noun`, by name or ARN in `parameter`."""
    return Tagging(
        create=lambda _, tags: {"Tags": pairs(tags)},
        add=lambda call, tags: getattr(call.api, f"tag_{noun}")(**{parameter: call.id, "Tags": pairs(tags)}),
        remove=lambda call, keys: getattr(call.api, f"untag_{noun}")(**{parameter: call.id, "TagKeys": keys}),
        read=lambda answer: unpaired(answer.get("Tags")),
    )


def ec2_id(call: Call) -> str:
    """What EC2 tags: the id, or for a key pair, which Pulumi knows by name, its own id."""
    return str(call.state.get("keyPairId") or call.id)


def eks_arn(call: Call) -> str:
    names = ("accessEntryArn", "associationArn", "arn")
    return next(str(call.state[name]) for name in names if name in call.state)
