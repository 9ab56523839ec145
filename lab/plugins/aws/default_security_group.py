"""EC2's security group that each VPC has from the start: Pulumi takes it over, and nobody deletes it."""

from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.security_group import RULE, inline_rules, set_rules
from lab.plugins.aws.security_group_rules import live_rules, matches, permission, revoke
from lab.plugins.aws.tags import EC2, pairs
from lab.plugins.aws.types import Call, Inputs, Type, describe
from lab.plugins.values import Values


def adopt(call: Call) -> str:
    """The group's id, once the rules are gone that AWS gave it."""
    vpc = call.inputs.get("vpcId")
    named = [{"Name": "group-name", "Values": ["default"]}, *([{"Name": "vpc-id", "Values": [vpc]}] if vpc else [])]
    group = call.api.describe_security_groups(Filters=named)["SecurityGroups"][0]
    for direction, member in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
        if group.get(member):
            revoke(call, direction, group["GroupId"], group[member])
    if call.tags:
        call.api.create_tags(Resources=[group["GroupId"]], Tags=pairs(call.tags))
    return str(group["GroupId"])


def all_rules(direction: str) -> Any:
    """A `computed`: all of the group's rules, so that one of another hand is drift."""
    stated = inline_rules(direction)
    member = "IpPermissions" if direction == "ingress" else "IpPermissionsEgress"

    def read(call: Call, answer: Mapping[str, Any]) -> list[Values]:
        known = stated(call, answer) or []
        wanted = [permission(rule, call.id) for rule in known]
        live = live_rules(call, call.id, direction) if answer.get(member) else []
        stray = [rule for rule in live if not any(matches(rule, each) for each in wanted)]
        return [*known, *(_inline(rule, call.id) for rule in stray)]

    return read


def _inline(rule: Mapping[str, Any], group_id: str) -> Values:
    """A live rule in the form of the inputs."""
    group = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
    sources = {"cidrBlocks": rule.get("CidrIpv4"), "ipv6CidrBlocks": rule.get("CidrIpv6")}
    sources |= {"prefixListIds": rule.get("PrefixListId"), "securityGroups": group if group != group_id else None}
    return {
        "protocol": rule["IpProtocol"],
        "fromPort": rule.get("FromPort", 0),
        "toPort": rule.get("ToPort", 0),
        **{name: [value] for name, value in sources.items() if value},
        **({"self": True} if group == group_id else {}),
    }


TYPES = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Type(
        "ec2",
        Inputs(
            optional="vpcId tags region",
            defaults={"revokeRulesOnDelete": False},
            blocks={"ingress": RULE, "egress": RULE},
            lists="ingress egress",
        ),
        create=adopt,
        read=describe("describe_security_groups", "SecurityGroups", "GroupIds"),
        update=(set_rules("ingress"), set_rules("egress")),
        delete=lambda _: None,  # it goes with its VPC
        tagging=EC2,
        outputs="ownerId name description",
        rename={"name": "GroupName"},
        local="revokeRulesOnDelete",
        gone=("InvalidGroup.NotFound",),
        arn="security-group/{id}",
        computed={
            "ingress": all_rules("ingress"),
            "egress": all_rules("egress"),
        },
    ),
}
