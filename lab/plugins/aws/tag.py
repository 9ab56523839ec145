"""EC2's tags as resources: of what another resource brings, such as a machine's network interface."""

from lab.plugins.aws.types import Call, Inputs, Type, Update
from lab.plugins.values import Values


def write(call: Call) -> str:
    tag = {"Key": call.inputs["key"], "Value": call.inputs["value"]}
    call.api.create_tags(Resources=[call.inputs["resourceId"]], Tags=[tag])
    return f"{call.inputs['resourceId']},{call.inputs['key']}"


def read(call: Call) -> Values | None:
    resource, _, key = call.id.partition(",")
    filters = [{"Name": "resource-id", "Values": [resource]}, {"Name": "key", "Values": [key]}]
    found = call.api.describe_tags(Filters=filters)["Tags"]
    return {"resourceId": resource, "key": key, "value": found[0]["Value"]} if found else None


def remove(call: Call) -> None:
    resource, _, key = call.id.partition(",")
    call.api.delete_tags(Resources=[resource], Tags=[{"Key": key}])


TYPES = {
    "aws:ec2/tag:Tag": Type(
        "ec2",
        Inputs(required="resourceId key value", optional="region"),
        create=write,
        read=read,
        update=(Update("value", write),),
        delete=remove,
        # It goes with what it is of.
        gone=("InvalidNetworkInterfaceID.NotFound", "InvalidID"),
    ),
}
