"""CloudWatch's log groups, and the flow logs of VPCs that fill one."""

from typing import Any

from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Inputs, Tagging, Type, Update, describe
from lab.plugins.values import Values


def group_arn(call: Call) -> str:
    return call.arn(f"log-group:{call.id}")


def read_group(call: Call) -> Values | None:
    pages = call.api.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=call.id)
    found = [group for page in pages for group in page["logGroups"] if group["logGroupName"] == call.id]
    if not found:
        return None
    tags = call.api.list_tags_for_resource(resourceArn=group_arn(call))["tags"]
    return {"retentionInDays": 0, **found[0], "arn": group_arn(call), "tags": tags}


def set_retention(call: Call) -> None:
    if days := call.inputs.get("retentionInDays"):
        call.api.put_retention_policy(logGroupName=call.id, retentionInDays=int(days))
    elif call.old.get("retentionInDays"):
        call.api.delete_retention_policy(logGroupName=call.id)


def create_group(call: Call) -> str:
    call.send("create_log_group", **({"tags": dict(call.tags)} if call.tags else {}))
    return str(call.inputs["name"])


def delete_group(call: Call) -> None:
    if not call.state.get("skipDestroy"):
        call.api.delete_log_group(logGroupName=call.id)


GROUP_TAGS = Tagging(
    create=lambda _, tags: {"tags": dict(tags)},
    add=lambda call, tags: call.api.tag_resource(resourceArn=group_arn(call), tags=dict(tags)),
    remove=lambda call, keys: call.api.untag_resource(resourceArn=group_arn(call), tagKeys=keys),
    read=lambda answer: dict(answer.get("tags") or {}),
)

#: Input of a flow log -> the ResourceType whose traffic it tells.
RESOURCES = {"vpcId": "VPC", "subnetId": "Subnet", "eniId": "NetworkInterface"}


def create_flow_log(call: Call) -> str:
    [(name, kind)] = [each for each in RESOURCES.items() if call.inputs.get(each[0])]
    destination = str(call.inputs["logDestination"])
    # CloudWatch has another way to say the same: by the group's name, which is what it answers with, too.
    to_group = call.inputs["logDestinationType"] == "cloud-watch-logs"
    where = {"LogGroupName": destination.split(":")[6]} if to_group else {"LogDestination": destination}
    role = {"DeliverLogsPermissionArn": call.inputs["iamRoleArn"]} if call.inputs.get("iamRoleArn") else {}
    answer = call.api.create_flow_logs(
        ResourceIds=[call.inputs[name]],
        ResourceType=kind,
        TrafficType=call.inputs["trafficType"],
        LogDestinationType=call.inputs["logDestinationType"],
        MaxAggregationInterval=int(call.inputs["maxAggregationInterval"]),
        **({"LogFormat": call.inputs["logFormat"]} if call.inputs.get("logFormat") else {}),
        **(EC2.create("vpc-flow-log", call.tags) if call.tags else {}),
        **where,
        **role,
    )
    if refused := answer.get("Unsuccessful"):
        raise ValueError(refused[0]["Error"]["Message"])
    return str(answer["FlowLogIds"][0])


def resource_of(kind: str) -> Any:
    """A `computed`: the id of what the log is of, if it is of that kind."""

    def read(_: Call, answer: Any) -> str | None:
        prefix = {"VPC": "vpc-", "Subnet": "subnet-", "NetworkInterface": "eni-"}[kind]
        return str(answer["ResourceId"]) if answer["ResourceId"].startswith(prefix) else None

    return read


def destination(call: Call, answer: Any) -> str:
    if answer.get("LogGroupName"):
        return call.session.arn("logs", f"log-group:{answer['LogGroupName']}", call.region)
    return str(answer["LogDestination"])


TYPES = {
    "aws:cloudwatch/logGroup:LogGroup": Type(
        "logs",
        Inputs(
            optional="namePrefix kmsKeyId tags region",
            defaults={"retentionInDays": 0, "logGroupClass": "STANDARD", "skipDestroy": False},
            auto="name",
            auto_length=512,
        ),
        create=create_group,
        read=read_group,
        update=(Update("retentionInDays", set_retention, on_create=True),),
        delete=delete_group,
        tagging=GROUP_TAGS,
        outputs="arn",
        rename={"name": "logGroupName"},
        local="namePrefix skipDestroy",
    ),
    "aws:ec2/flowLog:FlowLog": Type(
        "ec2",
        Inputs(
            required="logDestination trafficType",
            optional="vpcId subnetId eniId iamRoleArn logFormat tags region",
            defaults={"logDestinationType": "cloud-watch-logs", "maxAggregationInterval": 600},
        ),
        create=create_flow_log,
        read=describe("describe_flow_logs", "FlowLogs", "FlowLogIds"),
        delete=lambda call: call.api.delete_flow_logs(FlowLogIds=[call.id]),
        tagging=EC2,
        rename={"iamRoleArn": "DeliverLogsPermissionArn"},
        arn="vpc-flow-log/{id}",
        computed={
            "logDestination": destination,
            **{name: resource_of(kind) for name, kind in RESOURCES.items()},
        },
        gone=("InvalidFlowLogId.NotFound",),
    ),
}
