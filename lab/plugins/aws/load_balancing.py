"""Elastic Load Balancing: load balancers, target groups, listeners and what is behind them."""

from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.tags import pairs, unpaired
from lab.plugins.aws.types import Call, Inputs, Tagging, Type, Update, describe
from lab.plugins.values import Values

#: Seconds that an unregistered target may finish its connections: AWS's default.
DRAINING = 300

TAGS = Tagging(
    create=lambda _, tags: {"Tags": pairs(tags)},
    add=lambda call, tags: call.api.add_tags(ResourceArns=[call.id], Tags=pairs(tags)),
    remove=lambda call, keys: call.api.remove_tags(ResourceArns=[call.id], TagKeys=keys),
    read=lambda answer: unpaired(answer.get("Tags")),
)

#: Inputs of a health check -> parameters of CreateTargetGroup and ModifyTargetGroup.
CHECK = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


def with_tags(operation: str, found: str, parameter: str) -> Any:
    """A `read` by ARN. Tags need a question of their own."""
    look = describe(operation, found, parameter)

    def read(call: Call) -> Values | None:
        answer = look(call)
        if answer is None:
            return None
        told = call.api.describe_tags(ResourceArns=[call.id])["TagDescriptions"]
        return {**answer, "Tags": told[0]["Tags"] if told else []}

    return read


def suffix(noun: str) -> Any:
    """A `computed`: the part of the ARN that CloudWatch's dimensions name."""
    return lambda call, _: f"{noun}{call.id.split(':', 5)[5].split('/', 1)[1]}"


# Load balancers


def create_balancer(call: Call) -> str:
    internal = call.inputs["internal"]
    answer = call.send(
        "create_load_balancer",
        Name=call.inputs["name"],
        Scheme="internal" if internal else "internet-facing",
        Type=call.inputs["loadBalancerType"],
        **(TAGS.create("", call.tags) if call.tags else {}),
    )
    return str(answer["LoadBalancers"][0]["LoadBalancerArn"])


def active(call: Call) -> None:
    look = describe("describe_load_balancers", "LoadBalancers", "LoadBalancerArns")
    call.until(lambda: (look(call) or {"State": {}})["State"].get("Code") == "active", f"{call.id} active")


def balancer_attribute(name: str, attribute: str) -> Update:
    return Update(
        name,
        lambda call: call.api.modify_load_balancer_attributes(
            LoadBalancerArn=call.id, Attributes=[{"Key": attribute, "Value": str(call.inputs[name]).lower()}]
        ),
        on_create=True,
    )


def balancer_flag(attribute: str) -> Any:
    def ask(call: Call, _: Mapping[str, Any]) -> bool:
        told = call.api.describe_load_balancer_attributes(LoadBalancerArn=call.id)["Attributes"]
        return any(each == {"Key": attribute, "Value": "true"} for each in told)

    return ask


# Target groups


def health_check(inputs: Mapping[str, Any]) -> Values:
    """The block of the inputs as parameters."""
    block = inputs.get("healthCheck") or {}
    sent = {member: block[name] for name, member in CHECK.items() if block.get(name) is not None}
    return sent | ({"Matcher": {"HttpCode": block["matcher"]}} if block.get("matcher") else {})


def live_check(_: Call, answer: Mapping[str, Any]) -> Values:
    found = {name: answer[member] for name, member in CHECK.items() if answer.get(member) is not None}
    matcher = (answer.get("Matcher") or {}).get("HttpCode")
    return found | ({"matcher": matcher} if matcher else {})


def create_group(call: Call) -> str:
    tags = TAGS.create("", call.tags) if call.tags else {}
    answer = call.send("create_target_group", Name=call.inputs["name"], **health_check(call.inputs), **tags)
    return str(answer["TargetGroups"][0]["TargetGroupArn"])


def group_attribute(name: str, attribute: str) -> Update:
    return Update(
        name,
        lambda call: call.api.modify_target_group_attributes(
            TargetGroupArn=call.id, Attributes=[{"Key": attribute, "Value": str(call.inputs[name]).lower()}]
        ),
        on_create=True,
    )


def attribute_of(attribute: str, kind: type) -> Any:
    """A `computed`: an attribute of a target group; None where it has none of that name."""

    def ask(call: Call, _: Mapping[str, Any]) -> Any:
        for each in call.api.describe_target_group_attributes(TargetGroupArn=call.id)["Attributes"]:
            if each["Key"] == attribute:
                return each["Value"] == "true" if kind is bool else kind(each["Value"])
        return None

    return ask


def target(call: Call) -> Values:
    values = call.inputs or call.state
    return {"Id": values["targetId"], **({"Port": int(values["port"])} if values.get("port") else {})}


def register(call: Call) -> str:
    call.api.register_targets(TargetGroupArn=call.inputs["targetGroupArn"], Targets=[target(call)])
    return f"{call.inputs['targetGroupArn']}-{call.inputs['targetId']}-{call.inputs.get('port', '')}"


def read_target(call: Call) -> Values | None:
    values, wanted = call.inputs or call.state, target(call)
    told = call.api.describe_target_health(TargetGroupArn=values["targetGroupArn"])["TargetHealthDescriptions"]
    for each in told:
        same = each["Target"]["Id"] == wanted["Id"] and wanted.get("Port") in (None, each["Target"].get("Port"))
        if same and each["TargetHealth"]["State"] != "draining":
            return {"targetGroupArn": values["targetGroupArn"], "targetId": wanted["Id"]}
    return None


# Listeners


def actions(call: Call) -> list[Values]:
    return [
        {
            "Type": each["type"],
            "TargetGroupArn": each["targetGroupArn"],
            **({"Order": each["order"]} if "order" in each else {}),
        }
        for each in call.inputs["defaultActions"]
    ]


def create_listener(call: Call) -> str:
    tags = TAGS.create("", call.tags) if call.tags else {}
    answer = call.send("create_listener", DefaultActions=actions(call), **tags)
    return str(answer["Listeners"][0]["ListenerArn"])


TYPES = {
    "aws:lb/loadBalancer:LoadBalancer": Type(
        "elbv2",
        Inputs(
            optional="namePrefix subnets securityGroups tags region",
            defaults={
                "internal": False,
                "loadBalancerType": "application",
                "ipAddressType": "ipv4",
                "enableDeletionProtection": False,
                "enableCrossZoneLoadBalancing": False,
            },
            auto="name",
            auto_length=32,
        ),
        create=create_balancer,
        ready=active,
        read=with_tags("describe_load_balancers", "LoadBalancers", "LoadBalancerArns"),
        update=(
            balancer_attribute("enableDeletionProtection", "deletion_protection.enabled"),
            balancer_attribute("enableCrossZoneLoadBalancing", "load_balancing.cross_zone.enabled"),
            Update(
                "securityGroups",
                lambda call: call.api.set_security_groups(
                    LoadBalancerArn=call.id, SecurityGroups=call.inputs["securityGroups"]
                ),
            ),
        ),
        delete="delete_load_balancer",
        id_parameter="LoadBalancerArn",
        tagging=TAGS,
        outputs="arn dnsName vpcId zoneId",
        rename={"arn": "LoadBalancerArn", "name": "LoadBalancerName", "zoneId": "CanonicalHostedZoneId"},
        local="namePrefix",
        computed={
            "arnSuffix": suffix(""),
            "internal": lambda _, answer: answer["Scheme"] == "internal",
            "loadBalancerType": lambda _, answer: answer["Type"],
            "subnets": lambda _, answer: [zone["SubnetId"] for zone in answer["AvailabilityZones"]],
            "enableDeletionProtection": balancer_flag("deletion_protection.enabled"),
            "enableCrossZoneLoadBalancing": balancer_flag("load_balancing.cross_zone.enabled"),
        },
        gone=("LoadBalancerNotFound",),
    ),
    "aws:lb/targetGroup:TargetGroup": Type(
        "elbv2",
        Inputs(
            required="",
            optional="namePrefix port protocol vpcId preserveClientIp tags region",
            defaults={"targetType": "instance", "deregistrationDelay": DRAINING, "connectionTermination": False},
            blocks={"healthCheck": Inputs(optional=" ".join([*CHECK, "matcher"]))},
            auto="name",
            auto_length=32,
        ),
        create=create_group,
        read=with_tags("describe_target_groups", "TargetGroups", "TargetGroupArns"),
        update=(
            Update(
                "healthCheck",
                lambda call: call.api.modify_target_group(TargetGroupArn=call.id, **health_check(call.inputs)),
            ),
            group_attribute("preserveClientIp", "preserve_client_ip.enabled"),
            group_attribute("deregistrationDelay", "deregistration_delay.timeout_seconds"),
            group_attribute("connectionTermination", "deregistration_delay.connection_termination.enabled"),
        ),
        delete="delete_target_group",
        id_parameter="TargetGroupArn",
        tagging=TAGS,
        outputs="arn loadBalancerArns",
        rename={"arn": "TargetGroupArn", "name": "TargetGroupName"},
        local="namePrefix",
        computed={
            "arnSuffix": suffix("targetgroup/"),
            "healthCheck": live_check,
            "preserveClientIp": attribute_of("preserve_client_ip.enabled", str),
            "deregistrationDelay": attribute_of("deregistration_delay.timeout_seconds", int),
            "connectionTermination": attribute_of("deregistration_delay.connection_termination.enabled", bool),
        },
        gone=("TargetGroupNotFound",),
        busy=("ResourceInUse",),
        timeout=120,
    ),
    "aws:lb/listener:Listener": Type(
        "elbv2",
        Inputs(
            required="loadBalancerArn defaultActions",
            optional="port protocol tags region",
            blocks={"defaultActions": Inputs(required="type", optional="targetGroupArn order")},
            lists="defaultActions",
        ),
        create=create_listener,
        read=with_tags("describe_listeners", "Listeners", "ListenerArns"),
        update=(
            Update(
                "port protocol defaultActions",
                lambda call: call.api.modify_listener(
                    ListenerArn=call.id,
                    Port=int(call.inputs["port"]),
                    Protocol=call.inputs["protocol"],
                    DefaultActions=actions(call),
                ),
            ),
        ),
        delete="delete_listener",
        id_parameter="ListenerArn",
        tagging=TAGS,
        outputs="arn",
        rename={"arn": "ListenerArn"},
        gone=("ListenerNotFound",),
    ),
    "aws:lb/targetGroupAttachment:TargetGroupAttachment": Type(
        "elbv2",
        Inputs(required="targetGroupArn targetId", optional="port region"),
        create=register,
        read=read_target,
        delete=lambda call: call.api.deregister_targets(
            TargetGroupArn=(call.inputs or call.state)["targetGroupArn"], Targets=[target(call)]
        ),
        gone=("TargetGroupNotFound", "InvalidTarget"),
    ),
}
