"""EC2's security groups, with rules inline or apart."""

from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.security_group_rules import grant, live_rules, permission, revoke, still
from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Inputs, Type, Update, describe
from lab.plugins.values import Values

RULE = Inputs(
    required="protocol fromPort toPort",
    optional="cidrBlocks ipv6CidrBlocks prefixListIds securityGroups self description",
)


def create_group(call: Call) -> str:
    group = call.api.create_security_group(
        GroupName=call.inputs["name"],
        Description=call.inputs["description"],
        **({"VpcId": call.inputs["vpcId"]} if call.inputs.get("vpcId") else {}),
        **(EC2.create("security-group", call.tags) if call.tags else {}),
    )
    group_id = str(group["GroupId"])
    # As the official provider: AWS's allow-everything egress rule goes, so that the inputs say all.
    described = call.api.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
    if described.get("IpPermissionsEgress"):
        revoke(call, "egress", group_id, described["IpPermissionsEgress"])
    return group_id


def set_rules(direction: str) -> Update:
    """Brings a group's inline rules to those of the inputs."""

    def apply(call: Call) -> None:
        old = [permission(rule, call.id) for rule in call.old.get(direction, [])]
        new = [permission(rule, call.id) for rule in call.inputs.get(direction, [])]
        if stale := [rule for rule in old if rule not in new]:
            revoke(call, direction, call.id, stale)
        if fresh := [rule for rule in new if rule not in old]:
            grant(call, direction, call.id, fresh)

    return Update(direction, apply, on_create=True)


def inline_rules(direction: str) -> Any:
    """A `computed`: the rules of the inputs that are live, where the group says its rules at all."""

    def read(call: Call, _: Mapping[str, Any]) -> list[Values] | None:
        if direction not in call.inputs:
            return None
        live = live_rules(call, call.id, direction)
        return [rule for given in call.inputs[direction] if (rule := still(call.id, given, live)) is not None]

    return read


def delete_group(call: Call) -> None:
    if call.state.get("revokeRulesOnDelete"):
        group = call.api.describe_security_groups(GroupIds=[call.id])["SecurityGroups"][0]
        for direction, member in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
            if group.get(member):
                revoke(call, direction, call.id, group[member])
    call.api.delete_security_group(GroupId=call.id)


TYPES = {
    "aws:ec2/securityGroup:SecurityGroup": Type(
        "ec2",
        Inputs(
            optional="namePrefix vpcId tags region",
            defaults={"description": "Managed by Pulumi", "revokeRulesOnDelete": False},
            blocks={"ingress": RULE, "egress": RULE},
            lists="ingress egress",
            auto="name",
        ),
        create=create_group,
        read=describe("describe_security_groups", "SecurityGroups", "GroupIds"),
        update=(set_rules("ingress"), set_rules("egress")),
        delete=delete_group,
        tagging=EC2,
        outputs="ownerId vpcId",
        rename={"name": "GroupName"},
        local="revokeRulesOnDelete namePrefix",
        gone=("InvalidGroup.NotFound",),
        arn="security-group/{id}",
        computed={
            "ingress": inline_rules("ingress"),
            "egress": inline_rules("egress"),
        },
    ),
}
