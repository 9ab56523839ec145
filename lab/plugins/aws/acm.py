"""Certificate Manager: certificates that are imported, not asked for."""

from typing import Any

from lab.plugins.aws.types import Call, Inputs, Tagging, Type, Update
from lab.plugins.values import Values


def _pairs(tags: Any) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def send_certificate(call: Call) -> str:
    """Imports it, over the one that is there when there is one."""
    parts = {"Certificate": "certificateBody", "PrivateKey": "privateKey", "CertificateChain": "certificateChain"}
    content = {name: call.inputs[part].encode() for name, part in parts.items() if call.inputs.get(part)}
    where: Values = {"CertificateArn": call.id} if call.id else {}
    tags: Values = {"Tags": _pairs(call.tags)} if call.tags and not call.id else {}
    return str(call.api.import_certificate(**content, **where, **tags)["CertificateArn"])


def read_certificate(call: Call) -> Values | None:
    found: Values = call.api.describe_certificate(CertificateArn=call.id)["Certificate"]
    return {**found, "Tags": call.api.list_tags_for_certificate(CertificateArn=call.id)["Tags"]}


TAGS = Tagging(
    create=lambda _, tags: {"Tags": _pairs(tags)},
    add=lambda call, tags: call.api.add_tags_to_certificate(CertificateArn=call.id, Tags=_pairs(tags)),
    remove=lambda call, keys: call.api.remove_tags_from_certificate(
        CertificateArn=call.id, Tags=[{"Key": key} for key in keys]
    ),
    read=lambda answer: {tag["Key"]: tag["Value"] for tag in answer.get("Tags") or []},
)

TYPES = {
    "aws:acm/certificate:Certificate": Type(
        "acm",
        Inputs(required="certificateBody privateKey", optional="certificateChain tags region"),
        create=send_certificate,
        read=read_certificate,
        update=(Update("certificateBody privateKey certificateChain", send_certificate),),
        delete="delete_certificate",
        id_parameter="CertificateArn",
        tagging=TAGS,
        outputs="arn domainName status type",
        rename={"arn": "CertificateArn"},
        local="certificateBody privateKey certificateChain",
        gone=("ResourceNotFoundException",),
    ),
}
