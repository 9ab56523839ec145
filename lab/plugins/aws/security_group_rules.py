"""EC2's security group rules: for lists of sources, and for one source with an id of AWS's own."""

import hashlib
from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Function, Inputs, Type, Update, describe
from lab.plugins.values import Values

#: Protocol numbers that AWS answers with names.
PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}


def permission(rule: Mapping[str, Any], group_id: str) -> Values:
    """A rule with lists of sources, as the IpPermission that grants or revokes all of them."""
    protocol = str(rule["protocol"]).lower()
    protocol = PROTOCOLS.get(protocol, protocol)
    told = {"Description": rule["description"]} if rule.get("description") else {}
    groups = [*rule.get("securityGroups", []), *filter(None, [rule.get("sourceSecurityGroupId")])]
    groups += [group_id] if rule.get("self") else []
    ports = {} if protocol == "-1" else {"FromPort": rule["fromPort"], "ToPort": rule["toPort"]}
    sources = {
        "IpRanges": [{"CidrIp": cidr, **told} for cidr in rule.get("cidrBlocks", [])],
        "Ipv6Ranges": [{"CidrIpv6": cidr, **told} for cidr in rule.get("ipv6CidrBlocks", [])],
        "PrefixListIds": [{"PrefixListId": name, **told} for name in rule.get("prefixListIds", [])],
        "UserIdGroupPairs": [{"GroupId": group, **told} for group in groups],
    }
    return {"IpProtocol": protocol, **ports, **{name: value for name, value in sources.items() if value}}


def grant(call: Call, direction: str, group_id: str, permissions: list[Values]) -> list[str]:
    """Adds the permissions; the ids of the new rules."""
    add = getattr(call.api, f"authorize_security_group_{direction}")
    answer = add(GroupId=group_id, IpPermissions=permissions)
    return [rule["SecurityGroupRuleId"] for rule in answer.get("SecurityGroupRules", [])]


def revoke(call: Call, direction: str, group_id: str, permissions: list[Values]) -> None:
    getattr(call.api, f"revoke_security_group_{direction}")(GroupId=group_id, IpPermissions=permissions)


def live_rules(call: Call, group_id: str, direction: str) -> list[Values]:
    """The group's rules of one direction, one source each."""
    pages = call.api.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": [group_id]}]
    )
    rules = [rule for page in pages for rule in page["SecurityGroupRules"] if rule["GroupId"] == group_id]
    return [rule for rule in rules if rule["IsEgress"] == (direction == "egress")]


def matches(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a live rule (one source) is among those that the permission grants."""
    ports = ("FromPort", "ToPort") if "FromPort" in wanted else ()
    if live["IpProtocol"] != wanted["IpProtocol"] or any(live.get(port) != wanted[port] for port in ports):
        return False
    sources = {
        ("CidrIpv4", "IpRanges", "CidrIp"),
        ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        ("PrefixListId", "PrefixListIds", "PrefixListId"),
    }
    group = (live.get("ReferencedGroupInfo") or {}).get("GroupId")
    return (group is not None and group in [pair["GroupId"] for pair in wanted.get("UserIdGroupPairs", [])]) or any(
        live.get(name) is not None and live[name] in [source[key] for source in wanted.get(member, [])]
        for name, member, key in sources
    )


def still(group_id: str, rule: Values, live: list[Values]) -> Values | None:
    """`rule` with those of its sources that are live; None when none is."""
    found = dict(rule)
    for name in ("cidrBlocks", "ipv6CidrBlocks", "prefixListIds", "securityGroups"):
        if name in rule:
            parts = [{**_bare(rule), name: [source]} for source in rule[name]]
            found[name] = [
                part[name][0] for part in parts if any(matches(one, permission(part, group_id)) for one in live)
            ]
    for name, off in (("self", False), ("sourceSecurityGroupId", None)):
        if rule.get(name):
            part = {**_bare(rule), name: rule[name]}
            found[name] = rule[name] if any(matches(one, permission(part, group_id)) for one in live) else off
    wanted = permission(found, group_id)
    mine = [one for one in live if matches(one, wanted)]
    if not mine:
        return None
    if told := mine[0].get("Description"):  # moto forgets it for rules between groups
        found["description"] = told
    return found


def _bare(rule: Values) -> Values:
    return {name: rule[name] for name in ("protocol", "fromPort", "toPort")}


def create_rule(call: Call) -> str:
    group_id, direction = call.inputs["securityGroupId"], call.inputs["type"]
    wanted = permission(call.inputs, group_id)
    grant(call, direction, group_id, [wanted])
    return f"sgrule-{int(hashlib.sha256(repr((group_id, direction, wanted)).encode()).hexdigest()[:8], 16)}"


def read_rule(call: Call) -> Values | None:
    values = call.inputs or call.state
    live = live_rules(call, values["securityGroupId"], values["type"])
    found = still(values["securityGroupId"], values, live)
    if found is None:
        return None
    ids = [rule["SecurityGroupRuleId"] for rule in live if matches(rule, permission(found, values["securityGroupId"]))]
    return {**found, "securityGroupRuleId": ids[0] if len(ids) == 1 else ""}


def describe_rule(call: Call) -> None:
    group_id, direction = call.inputs["securityGroupId"], call.inputs["type"]
    update = getattr(call.api, f"update_security_group_rule_descriptions_{direction}")
    update(GroupId=group_id, IpPermissions=[permission(call.inputs, group_id)])


def delete_rule(call: Call) -> None:
    revoke(
        call, call.state["type"], call.state["securityGroupId"], [permission(call.state, call.state["securityGroupId"])]
    )


def _single(direction: str) -> Type:
    """A rule with one source, which AWS knows by an id of its own."""

    def wanted(call: Call) -> Values:
        values = call.inputs
        lists = {"cidrIpv4": "cidrBlocks", "cidrIpv6": "ipv6CidrBlocks", "prefixListId": "prefixListIds"}
        rule: Values = {lists[name]: [values[name]] for name in lists if values.get(name)}
        return permission(
            {
                **rule,
                "protocol": values["ipProtocol"],
                "fromPort": values.get("fromPort", -1),
                "toPort": values.get("toPort", -1),
                "description": values.get("description"),
                "sourceSecurityGroupId": values.get("referencedSecurityGroupId"),
            },
            values["securityGroupId"],
        )

    def create(call: Call) -> str:
        rule_id = grant(call, direction, call.inputs["securityGroupId"], [wanted(call)])[0]
        if call.tags:
            EC2.add(Call(**{**vars(call), "id": rule_id}), call.tags)
        return rule_id

    def modify(call: Call) -> None:
        given = {"CidrIpv4": "cidrIpv4", "CidrIpv6": "cidrIpv6", "PrefixListId": "prefixListId"}
        given |= {"ReferencedGroupId": "referencedSecurityGroupId", "Description": "description"}
        given |= {"FromPort": "fromPort", "ToPort": "toPort"}
        rule = {member: call.inputs[name] for member, name in given.items() if call.inputs.get(name) is not None}
        call.api.modify_security_group_rules(
            GroupId=call.inputs["securityGroupId"],
            SecurityGroupRules=[
                {
                    "SecurityGroupRuleId": call.id,
                    "SecurityGroupRule": {"IpProtocol": wanted(call)["IpProtocol"], **rule},
                }
            ],
        )

    by_id: Function = describe("describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleIds")

    def read(call: Call) -> Any:
        group_id = (call.inputs or call.state).get("securityGroupId")
        if group_id is None:
            return by_id(call)
        return next((r for r in live_rules(call, group_id, direction) if r["SecurityGroupRuleId"] == call.id), None)

    return Type(
        "ec2",
        Inputs(
            required="securityGroupId ipProtocol",
            optional="fromPort toPort cidrIpv4 cidrIpv6 prefixListId referencedSecurityGroupId description tags region",
        ),
        create=create,
        read=read,
        update=(
            Update(
                "ipProtocol fromPort toPort cidrIpv4 cidrIpv6 prefixListId referencedSecurityGroupId description",
                modify,
            ),
        ),
        delete=lambda call: getattr(call.api, f"revoke_security_group_{direction}")(
            GroupId=call.state["securityGroupId"], SecurityGroupRuleIds=[call.id]
        ),
        tagging=EC2,
        rename={"securityGroupId": "GroupId"},
        outputs="securityGroupRuleId",
        arn="security-group-rule/{id}",
        paths={"referencedSecurityGroupId": "ReferencedGroupInfo.GroupId"},
        computed={
            # AWS answers -1 for the ports of all protocols, which nobody gave.
            "fromPort": lambda call, answer: _port(call, answer, "fromPort", "FromPort"),
            "toPort": lambda call, answer: _port(call, answer, "toPort", "ToPort"),
        },
    )


def _port(call: Call, answer: Mapping[str, Any], name: str, member: str) -> int | None:
    live = answer.get(member)
    return live if name in call.inputs or (live is not None and live != -1) else None


TYPES = {
    "aws:ec2/securityGroupRule:SecurityGroupRule": Type(
        "ec2",
        Inputs(
            required="type securityGroupId protocol fromPort toPort",
            optional="cidrBlocks ipv6CidrBlocks prefixListIds description self sourceSecurityGroupId region",
        ),
        create=create_rule,
        read=read_rule,
        update=(Update("description", describe_rule),),
        delete=delete_rule,
        outputs="securityGroupRuleId",
        gone=("InvalidGroup.NotFound", "InvalidPermission.NotFound"),
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _single("ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _single("egress"),
}
