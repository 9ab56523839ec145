"""The instance profile by which the machines of a node group have its role: EKS makes one for each group."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from lab.cloud import api
from lab.cloud.eks.model import Json


def name(group: Json) -> str:
    """Returns its name, of the id at the end of the group's ARN."""
    return f"eks-{str(group['nodegroupArn']).rpartition('/')[2]}"


def ensure(group: Json) -> str:
    """Makes what is missing. Returns its name. Raises botocore's ClientError."""
    _call("create_instance_profile", "EntityAlreadyExists", group)
    _call("add_role_to_instance_profile", "LimitExceeded", group, RoleName=_role(group))  # it holds one
    return name(group)


def delete(group: Json) -> None:
    """Ends what is there, so that the role can go. Raises botocore's ClientError."""
    _call("remove_role_from_instance_profile", "NoSuchEntity", group, RoleName=_role(group))
    _call("delete_instance_profile", "NoSuchEntity", group)


def _role(group: Json) -> str:
    return str(group["nodeRole"]).rpartition("/")[2]


def _call(operation: str, fine: str, group: Json, **more: Any) -> None:
    try:
        getattr(api.client("iam"), operation)(InstanceProfileName=name(group), **more)
    except ClientError as error:
        if error.response["Error"]["Code"] != fine:
            raise
