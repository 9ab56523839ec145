"""EC2's volumes, and what attaches them to instances."""

from typing import Any

from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Inputs, Type, Update, describe
from lab.plugins.provider import ProviderError
from lab.plugins.values import Values

volume = describe("describe_volumes", "Volumes", "VolumeIds")


def in_state(call: Call, volume_id: str, *states: str) -> Values:
    """Waits until the volume is in one of the states."""

    def ready() -> Any:
        found = call.api.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
        if found["State"] == "error":
            raise ProviderError(f"{volume_id}: AWS could not make it")
        return found if found["State"] in states else None

    return dict(call.until(ready, f"{volume_id} {' or '.join(states)}"))


def modify(call: Call) -> None:
    names = [name for name in ("size", "type", "iops", "throughput") if call.changed(name)]
    call.send("modify_volume", *names, VolumeId=call.id)
    in_state(call, call.id, "available", "in-use")


def attach(call: Call) -> str:
    volume_id, instance_id = call.inputs["volumeId"], call.inputs["instanceId"]
    found = in_state(call, volume_id, "available", "in-use")
    if not any(each["InstanceId"] == instance_id for each in found.get("Attachments", [])):
        call.send("attach_volume")
    in_state(call, volume_id, "in-use")
    return f"vai-{volume_id.removeprefix('vol-')}-{instance_id.removeprefix('i-')}"


def read_attachment(call: Call) -> Values | None:
    state = {**call.state, **call.inputs}
    found = call.api.describe_volumes(VolumeIds=[state["volumeId"]])["Volumes"]
    for each in found[0].get("Attachments", []) if found else []:
        if each["InstanceId"] == state["instanceId"] and each["State"] in ("attaching", "attached"):
            return dict(each)
    return None


def detach(call: Call) -> None:
    if call.state.get("skipDestroy"):
        return
    instance_id = call.state["instanceId"]
    if call.state.get("stopInstanceBeforeDetaching"):
        stop(call, instance_id)
    call.api.detach_volume(
        VolumeId=call.state["volumeId"], InstanceId=instance_id, Force=bool(call.state.get("forceDetach"))
    )
    in_state(call, call.state["volumeId"], "available")


def stop(call: Call, instance_id: str) -> None:
    """A file system is in use until then."""

    def stopped() -> bool:
        found = call.api.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        return found["State"]["Name"] in ("stopped", "terminated")

    if not stopped():
        call.api.stop_instances(InstanceIds=[instance_id])
        call.until(stopped, f"{instance_id} stopped")


TYPES = {
    "aws:ebs/volume:Volume": Type(
        "ec2",
        Inputs(
            required="availabilityZone",
            optional="size type iops throughput encrypted kmsKeyId snapshotId tags region",
        ),
        create="create_volume",
        result="VolumeId",
        read=volume,
        ready=lambda call: in_state(call, call.id, "available", "in-use"),
        update=(Update("size type iops throughput", modify),),
        delete="delete_volume",
        id_parameter="VolumeId",
        tagging=EC2,
        tag_kind="volume",
        outputs="size type iops throughput encrypted kmsKeyId snapshotId",
        rename={"type": "VolumeType"},
        arn="volume/{id}",
        gone=("InvalidVolume.NotFound",),
        busy=("VolumeInUse",),
        timeout=300,
    ),
    "aws:ec2/volumeAttachment:VolumeAttachment": Type(
        "ec2",
        Inputs(
            required="deviceName instanceId volumeId",
            optional="forceDetach skipDestroy stopInstanceBeforeDetaching region",
        ),
        create=attach,
        read=read_attachment,
        update=(Update("forceDetach skipDestroy stopInstanceBeforeDetaching", lambda _: None),),
        delete=detach,
        rename={"deviceName": "Device"},
        local="forceDetach skipDestroy stopInstanceBeforeDetaching",
        gone=("InvalidVolume.NotFound", "InvalidAttachment.NotFound", "IncorrectState"),
        timeout=300,
    ),
}
