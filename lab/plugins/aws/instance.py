"""EC2's instances, and the key pairs that they are reached with."""

import base64
from collections.abc import Mapping
from typing import Any

from lab.plugins.aws.shapes import parameters, plain
from lab.plugins.aws.tags import EC2, pairs, specification
from lab.plugins.aws.types import Call, Inputs, Type, Update, describe
from lab.plugins.provider import ProviderError
from lab.plugins.values import Values

METADATA = Inputs(optional="httpEndpoint httpTokens httpPutResponseHopLimit httpProtocolIpv6 instanceMetadataTags")
VOLUME = "volumeSize volumeType iops throughput encrypted kmsKeyId deleteOnTermination"


instance = describe("describe_instances", "Reservations", "InstanceIds", each="Instances")


def live_instance(call: Call) -> Values | None:
    """The instance, None once it is terminated: AWS still tells of it for an hour."""
    found: Values | None = instance(call)
    return found if found and found["State"]["Name"] not in ("terminated", "shutting-down") else None


def run_instance(call: Call) -> str:
    made = {"ClientToken": call.token()}
    subnet = [{"Name": "subnet-id", "Values": [call.inputs["subnetId"]]}] if call.inputs.get("subnetId") else []
    for page in call.api.get_paginator("describe_instances").paginate(Filters=subnet):
        for found in (item for reservation in page["Reservations"] for item in reservation["Instances"]):
            alive = found["State"]["Name"] in ("pending", "running", "stopped")
            if alive and found.get("ClientToken") == made["ClientToken"]:
                return str(found["InstanceId"])
    answer = call.send(
        "run_instances", MinCount=1, MaxCount=1, **made, **_placement(call), **_devices(call), **_extras(call)
    )
    return str(answer["Instances"][0]["InstanceId"])


def _placement(call: Call) -> Values:
    names = {"AvailabilityZone": "availabilityZone", "Tenancy": "tenancy", "GroupName": "placementGroup"}
    given = {member: call.inputs[name] for member, name in names.items() if call.inputs.get(name)}
    return {"Placement": given} if given else {}


def _devices(call: Call) -> Values:
    devices = [_device(block, block["deviceName"]) for block in call.inputs.get("ebsBlockDevices", [])]
    if root := call.inputs.get("rootBlockDevice"):
        images = call.api.describe_images(ImageIds=[call.inputs["ami"]])["Images"]
        devices.insert(0, _device(root, (images[0].get("RootDeviceName") if images else None) or "/dev/xvda"))
    return {"BlockDeviceMappings": devices} if devices else {}


def _device(block: Mapping[str, Any], name: str) -> Values:
    ebs = {key[:1].upper() + key[1:]: value for key, value in block.items() if key in VOLUME.split()}
    return {"DeviceName": name, "Ebs": {"DeleteOnTermination": True, **ebs}}  # the official provider's default


def _extras(call: Call) -> Values:
    """The parameters of RunInstances that are shaped otherwise than the inputs."""
    inputs, extra = call.inputs, dict[str, Any]()
    of_volume = inputs.get("volumeTags") or inputs.get("rootBlockDevice", {}).get("tags") or call.tags
    kinds = [("instance", call.tags), ("volume", of_volume)]
    if tags := [part for kind, tags in kinds if tags for part in specification(kind, tags)]:
        extra["TagSpecifications"] = tags
    if "userDataBase64" in inputs:
        extra["UserData"] = base64.b64decode(inputs["userDataBase64"])
    if inputs.get("iamInstanceProfile"):
        extra["IamInstanceProfile"] = {"Name": inputs["iamInstanceProfile"]}
    if "monitoring" in inputs:
        extra["Monitoring"] = {"Enabled": inputs["monitoring"]}
    if "associatePublicIpAddress" in inputs:  # then the subnet and all else of the network belong to the interface
        names = {"SubnetId": "subnetId", "Groups": "vpcSecurityGroupIds", "PrivateIpAddress": "privateIp"}
        interface = {member: inputs[name] for member, name in names.items() if inputs.get(name)}
        public = {"AssociatePublicIpAddress": inputs["associatePublicIpAddress"], "DeviceIndex": 0}
        extra |= {"NetworkInterfaces": [{**interface, **public}], "SubnetId": None, "SecurityGroupIds": None}
        extra["PrivateIpAddress"] = None
    return extra


def running(call: Call) -> None:
    """Waits until the instance runs; ProviderError with AWS's reason when it ends instead."""

    def ready() -> bool:
        found = instance(call) or {"State": {"Name": "pending"}}
        if found["State"]["Name"] in ("terminated", "shutting-down"):
            raise ProviderError(f"{call.id} ended: {found.get('StateReason', {}).get('Message', 'no reason given')}")
        # A stopped instance that is only updated stays stopped.
        return found["State"]["Name"] in (("running", "stopped") if call.state else ("running",))

    call.until(ready, f"{call.id} running")


def modify(call: Call, **attribute: Any) -> None:
    call.api.modify_instance_attribute(InstanceId=call.id, **attribute)


def while_stopped(call: Call, **attribute: Any) -> None:
    """Changes what AWS changes on stopped instances only, and starts the instance again if it ran."""
    ran = (instance(call) or {})["State"]["Name"] == "running"
    if ran:
        call.api.stop_instances(InstanceIds=[call.id])
        call.until(lambda: instance(call)["State"]["Name"] == "stopped", f"{call.id} stopped")
    modify(call, **attribute)
    if ran:
        call.api.start_instances(InstanceIds=[call.id])
        call.until(lambda: instance(call)["State"]["Name"] == "running", f"{call.id} running")


def set_check(call: Call) -> None:
    if call.old or not call.inputs["sourceDestCheck"]:  # a new instance checks already
        modify(call, SourceDestCheck={"Value": call.inputs["sourceDestCheck"]})


def set_metadata(call: Call) -> None:
    shape = call.api.meta.service_model.operation_model("ModifyInstanceMetadataOptions").input_shape
    call.api.modify_instance_metadata_options(
        InstanceId=call.id, **parameters(call.inputs.get("metadataOptions", {}), shape, {})
    )


def user_data(call: Call) -> bytes:
    if "userDataBase64" in call.inputs:
        return base64.b64decode(call.inputs["userDataBase64"])
    return str(call.inputs.get("userData", "")).encode()


def terminate(call: Call) -> None:
    if call.state.get("disableApiTermination"):
        modify(call, DisableApiTermination={"Value": False})
    call.api.terminate_instances(InstanceIds=[call.id])

    def ended() -> bool:
        found = instance(call)
        return found is None or found["State"]["Name"] == "terminated"

    call.until(ended, f"{call.id} terminated")


def root_device(call: Call, answer: Mapping[str, Any]) -> Values | None:
    for mapping in answer.get("BlockDeviceMappings", []):
        if mapping["DeviceName"] == answer.get("RootDeviceName") and "rootBlockDevice" in call.inputs:
            volume = call.api.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"][0]
            found = {key[:1].lower() + key[1:]: value for key, value in volume.items()}
            names = {"volumeSize": "size"}
            live = {name: found.get(names.get(name, name)) for name in VOLUME.split()}
            live |= {"deviceName": mapping["DeviceName"], "volumeId": mapping["Ebs"]["VolumeId"]}
            if "tags" in call.inputs["rootBlockDevice"]:
                live["tags"] = EC2.read(volume)
            live["deleteOnTermination"] = mapping["Ebs"].get("DeleteOnTermination", True)
            return {name: value for name, value in live.items() if value is not None}
    return None


def tag_root_device(call: Call) -> None:
    root, wanted = call.state["rootBlockDevice"], call.inputs["rootBlockDevice"].get("tags", {})
    if stale := [{"Key": key} for key in root.get("tags", {}) if key not in wanted]:
        call.api.delete_tags(Resources=[root["volumeId"]], Tags=stale)
    if wanted:
        call.api.create_tags(Resources=[root["volumeId"]], Tags=pairs(wanted))


def profile(_: Call, answer: Mapping[str, Any]) -> str | None:
    arn = (answer.get("IamInstanceProfile") or {}).get("Arn")
    return arn.rsplit("/", 1)[-1] if arn else None


def metadata(_: Call, answer: Mapping[str, Any]) -> Values:
    return {name: value for name, value in plain(answer.get("MetadataOptions", {})).items() if name in METADATA.names}


TYPES = {
    "aws:ec2/keyPair:KeyPair": Type(
        "ec2",
        Inputs(required="publicKey", optional="keyNamePrefix tags region", auto="keyName"),
        create=lambda call: call.api.import_key_pair(
            KeyName=call.inputs["keyName"],
            PublicKeyMaterial=call.inputs["publicKey"].encode(),
            **(EC2.create("key-pair", call.tags) if call.tags else {}),
        )["KeyName"],
        read=describe("describe_key_pairs", "KeyPairs", "KeyNames"),
        delete="delete_key_pair",
        id_parameter="KeyName",
        tagging=EC2,
        outputs="keyPairId keyType fingerprint",
        rename={"fingerprint": "KeyFingerprint"},
        local="keyNamePrefix",
        arn="key-pair/{id}",
    ),
    "aws:ec2/instance:Instance": Type(
        "ec2",
        Inputs(
            required="ami instanceType",
            optional="subnetId privateIp availabilityZone keyName vpcSecurityGroupIds userData userDataBase64 "
            "iamInstanceProfile associatePublicIpAddress monitoring disableApiTermination ebsOptimized tenancy "
            "instanceInitiatedShutdownBehavior placementGroup volumeTags tags region",
            defaults={"sourceDestCheck": True, "userDataReplaceOnChange": False},
            blocks={
                "metadataOptions": METADATA,
                "rootBlockDevice": Inputs(optional=VOLUME + " tags"),
                "ebsBlockDevices": Inputs(required="deviceName", optional=VOLUME + " snapshotId tags"),
                "creditSpecification": Inputs(optional="cpuCredits"),
            },
            lists="ebsBlockDevices",
        ),
        create=run_instance,
        ready=running,
        read=live_instance,
        update=(
            Update("vpcSecurityGroupIds", lambda call: modify(call, Groups=call.inputs["vpcSecurityGroupIds"])),
            Update("sourceDestCheck", set_check, on_create=True),
            Update(
                "disableApiTermination",
                lambda call: modify(
                    call, DisableApiTermination={"Value": call.inputs.get("disableApiTermination", False)}
                ),
            ),
            Update("metadataOptions", set_metadata),
            Update("rootBlockDevice.tags", tag_root_device),
            Update(
                "instanceType", lambda call: while_stopped(call, InstanceType={"Value": call.inputs["instanceType"]})
            ),
            Update("userData userDataBase64", lambda call: while_stopped(call, UserData={"Value": user_data(call)})),
        ),
        replace_also=lambda inputs: {"userData", "userDataBase64"} if inputs.get("userDataReplaceOnChange") else set(),
        delete=terminate,
        tagging=EC2,
        outputs="subnetId privateIp availabilityZone vpcSecurityGroupIds tenancy ebsOptimized keyName",
        rename={"ami": "ImageId", "vpcSecurityGroupIds": "SecurityGroupIds", "privateIp": "PrivateIpAddress"},
        local="userDataReplaceOnChange volumeTags",
        arn="instance/{id}",
        paths={
            "instanceState": "State.Name",
            "privateDns": "PrivateDnsName",
            "publicIp": "PublicIpAddress || ''",
            "publicDns": "PublicDnsName || ''",
            "primaryNetworkInterfaceId": "NetworkInterfaces[0].NetworkInterfaceId",
            "availabilityZone": "Placement.AvailabilityZone",
            "tenancy": "Placement.Tenancy",
            # moto knows the groups of an instance with a described interface only there.
            "vpcSecurityGroupIds": "SecurityGroups[].GroupId || NetworkInterfaces[0].Groups[].GroupId",
            "monitoring": "Monitoring.State == 'enabled'",
        },
        computed={
            "iamInstanceProfile": profile,
            "metadataOptions": metadata,
            "rootBlockDevice": root_device,
        },
        timeout=600,
    ),
}
