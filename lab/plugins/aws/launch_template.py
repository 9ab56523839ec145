"""EC2's launch templates."""

from lab.plugins.aws.instance import METADATA, VOLUME
from lab.plugins.aws.shapes import parameters
from lab.plugins.aws.tags import EC2
from lab.plugins.aws.types import Call, Inputs, Type, Update, describe
from lab.plugins.values import Values

TEMPLATE_BLOCKS = {
    "blockDeviceMappings": Inputs(
        optional="deviceName noDevice virtualName", blocks={"ebs": Inputs(optional=VOLUME + " snapshotId")}
    ),
    "metadataOptions": METADATA,
    "iamInstanceProfile": Inputs(optional="arn name"),
    "monitoring": Inputs(optional="enabled"),
    "tagSpecifications": Inputs(optional="resourceType tags"),
    "placement": Inputs(optional="availabilityZone groupName tenancy"),
    "creditSpecification": Inputs(optional="cpuCredits"),
}
TEMPLATE = "imageId instanceType keyName userData vpcSecurityGroupIds ebsOptimized disableApiTermination " + (
    "disableApiStop instanceInitiatedShutdownBehavior"
)


def template_data(call: Call) -> Values:
    """The launch template's own part of its inputs, as AWS's RequestLaunchTemplateData."""
    shape = call.api.meta.service_model.operation_model("CreateLaunchTemplate").input_shape
    names = {"vpcSecurityGroupIds": "SecurityGroupIds", "securityGroupNames": "SecurityGroups"}
    own = {name: value for name, value in call.inputs.items() if name not in ("tags", "name", "description")}
    return parameters(own, shape.members["LaunchTemplateData"], names)


def create_template(call: Call) -> str:
    answer = call.api.create_launch_template(
        LaunchTemplateName=call.inputs["name"],
        LaunchTemplateData=template_data(call),
        **({"VersionDescription": call.inputs["description"]} if call.inputs.get("description") else {}),
        **(EC2.create("launch-template", call.tags) if call.tags else {}),
    )
    return str(answer["LaunchTemplate"]["LaunchTemplateId"])


def new_version(call: Call) -> None:
    told = {"VersionDescription": call.inputs["description"]} if call.inputs.get("description") else {}
    answer = call.api.create_launch_template_version(
        LaunchTemplateId=call.id, LaunchTemplateData=template_data(call), **told
    )
    if call.inputs.get("updateDefaultVersion"):
        version = str(answer["LaunchTemplateVersion"]["VersionNumber"])
        call.api.modify_launch_template(LaunchTemplateId=call.id, DefaultVersion=version)


TYPES = {
    "aws:ec2/launchTemplate:LaunchTemplate": Type(
        "ec2",
        Inputs(
            optional=f"{TEMPLATE} namePrefix description tags region",
            defaults={"updateDefaultVersion": False},
            blocks=TEMPLATE_BLOCKS,
            lists="blockDeviceMappings tagSpecifications",
            auto="name",
            auto_length=128,
        ),
        create=create_template,
        read=describe("describe_launch_templates", "LaunchTemplates", "LaunchTemplateIds"),
        update=(Update(f"{TEMPLATE} description {' '.join(TEMPLATE_BLOCKS)}", new_version),),
        delete="delete_launch_template",
        id_parameter="LaunchTemplateId",
        tagging=EC2,
        outputs="latestVersion defaultVersion",
        rename={
            "latestVersion": "LatestVersionNumber",
            "defaultVersion": "DefaultVersionNumber",
            "name": "LaunchTemplateName",
        },
        local="namePrefix updateDefaultVersion",
        volatile="latestVersion defaultVersion",
        gone=("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException"),
        arn="launch-template/{id}",
    ),
}
