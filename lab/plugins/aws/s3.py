"""S3: buckets, and what is set on them, each a resource of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from lab.plugins.aws.shapes import fit, plain
from lab.plugins.aws.tags import pairs, unpaired
from lab.plugins.aws.types import Call, Inputs, Tagging, Type, Update
from lab.plugins.values import Values


def create_bucket(call: Call) -> str:
    place = {} if call.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": call.region}}
    call.api.create_bucket(Bucket=call.inputs["bucket"], **place)
    if call.tags:
        call.api.put_bucket_tagging(Bucket=call.inputs["bucket"], Tagging={"TagSet": pairs(call.tags)})
    return str(call.inputs["bucket"])


def read_bucket(call: Call) -> Values:
    place = call.api.get_bucket_location(Bucket=call.id)["LocationConstraint"] or "us-east-1"
    return {"bucket": call.id, "bucketRegion": place, "Tags": pairs(tags_of(call))}


def tags_of(call: Call) -> dict[str, str]:
    try:
        return unpaired(call.api.get_bucket_tagging(Bucket=call.id)["TagSet"])
    except call.api.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchTagSet":
            raise
        return {}


def set_tags(call: Call, tags: Mapping[str, str]) -> None:
    """All of them: S3 changes no single one."""
    if tags:
        call.api.put_bucket_tagging(Bucket=call.id, Tagging={"TagSet": pairs(tags)})
    else:
        call.api.delete_bucket_tagging(Bucket=call.id)


def delete_bucket(call: Call) -> None:
    """With forceDestroy also all versions of all objects; without it S3 refuses to delete a bucket that has any."""
    if call.state.get("forceDestroy"):
        for page in call.api.get_paginator("list_object_versions").paginate(Bucket=call.id):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            if objects:
                call.api.delete_objects(Bucket=call.id, Delete={"Objects": objects})
    call.api.delete_bucket(Bucket=call.id)


TAGS = Tagging(
    create=lambda _, tags: {"Tags": pairs(tags)},
    add=lambda call, tags: set_tags(call, {**tags_of(call), **tags}),
    remove=lambda call, keys: set_tags(call, {key: value for key, value in tags_of(call).items() if key not in keys}),
    read=lambda answer: unpaired(answer.get("Tags")),
)


def _setting(
    inputs: Inputs,
    noun: str,
    parameter: str,
    *,
    shape: Callable[[Mapping[str, Any]], Values],
    unshape: Callable[[Mapping[str, Any]], Values],
    gone: str = "",
    delete: Callable[[Call], Any] | None = None,
) -> Type:
    """A setting of a bucket by S3's `noun` for it: put, get and delete operations that take and give `parameter`.

    `shape` makes that parameter of the inputs, `unshape` the inputs of what S3 answers.
    """

    def write(call: Call) -> str:
        bucket = call.inputs["bucket"]
        model = call.api.meta.service_model.operation_model(call.api.meta.method_to_api_mapping[f"put_{noun}"])
        value = shape({name: value for name, value in call.inputs.items() if name not in {"bucket", "region"}})
        getattr(call.api, f"put_{noun}")(Bucket=bucket, **{parameter: fit(value, model.input_shape.members[parameter])})
        return str(bucket)

    def read(call: Call) -> Values:
        answer = getattr(call.api, f"get_{noun}")(Bucket=call.id)
        return {"bucket": call.id, **unshape(answer)}

    return Type(
        "s3",
        inputs,
        create=write,
        read=read,
        update=(Update(" ".join(sorted(inputs.names - {"bucket", "region"})), write),),
        delete=delete or (lambda call: getattr(call.api, f"delete_{noun}")(Bucket=call.id)),
        gone=("NoSuchBucket", gone),
        busy=("OperationAborted",),
    )


def put_object(call: Call) -> str:
    call.send("put_object", Body=call.inputs["content"].encode())
    return f"{call.inputs['bucket']}/{call.inputs['key']}"


def read_object(call: Call) -> Values:
    bucket, _, key = call.id.partition("/")
    answer = call.api.get_object(Bucket=bucket, Key=key)
    entity, kind = answer["ETag"].strip('"'), answer["ContentType"]
    content = answer["Body"].read().decode()
    return {"bucket": bucket, "key": key, "content": content, "contentType": kind, "etag": entity}


def delete_object(call: Call) -> None:
    bucket, _, key = call.id.partition("/")
    call.api.delete_object(Bucket=bucket, Key=key)


def _encryption(answer: Mapping[str, Any]) -> Values:
    rules = plain(answer["ServerSideEncryptionConfiguration"]["Rules"])
    for rule in rules:
        by_default = rule.get("applyServerSideEncryptionByDefault", {})
        if "kmsMasterKeyID" in by_default:
            by_default["kmsMasterKeyId"] = by_default.pop("kmsMasterKeyID")
    return {"rules": rules}


TYPES = {
    "aws:s3/bucket:Bucket": Type(
        "s3",
        Inputs(
            optional="bucketPrefix tags region",
            defaults={"forceDestroy": False},
            auto="bucket",
            auto_length=63,
            auto_lower=True,
        ),
        create=create_bucket,
        read=read_bucket,
        delete=delete_bucket,
        update=(Update("forceDestroy", lambda _: None),),  # of Pulumi's own: it is read at the end
        tagging=TAGS,
        outputs="bucketRegion",
        local="bucketPrefix forceDestroy",
        computed={
            "arn": lambda call, _: f"arn:{call.session.partition}:s3:::{call.id}",
            "bucketDomainName": lambda call, _: f"{call.id}.s3.amazonaws.com",
            "bucketRegionalDomainName": lambda call, _: f"{call.id}.s3.{call.region}.amazonaws.com",
        },
        gone=("NoSuchBucket",),
        busy=("OperationAborted",),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _setting(
        Inputs(
            required="bucket versioningConfiguration",
            optional="region",
            blocks={"versioningConfiguration": Inputs(required="status")},
        ),
        "bucket_versioning",
        "VersioningConfiguration",
        shape=lambda inputs: dict(inputs["versioningConfiguration"]),
        unshape=lambda answer: {"versioningConfiguration": {"status": answer.get("Status", "Disabled")}},
        # A bucket that was versioned can only stop to make more versions.
        delete=lambda call: call.api.put_bucket_versioning(
            Bucket=call.id, VersioningConfiguration={"Status": "Suspended"}
        ),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _setting(
        Inputs(
            required="bucket rules",
            optional="region",
            blocks={
                "rules": Inputs(
                    optional="bucketKeyEnabled",
                    blocks={
                        "applyServerSideEncryptionByDefault": Inputs(required="sseAlgorithm", optional="kmsMasterKeyId")
                    },
                )
            },
            lists="rules",
        ),
        "bucket_encryption",
        "ServerSideEncryptionConfiguration",
        shape=dict,
        unshape=_encryption,
        gone="ServerSideEncryptionConfigurationNotFoundError",
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _setting(
        Inputs(
            required="bucket",
            optional="region",
            defaults={
                "blockPublicAcls": False,
                "blockPublicPolicy": False,
                "ignorePublicAcls": False,
                "restrictPublicBuckets": False,
            },
        ),
        "public_access_block",
        "PublicAccessBlockConfiguration",
        shape=dict,
        unshape=lambda answer: dict(plain(answer["PublicAccessBlockConfiguration"])),
        gone="NoSuchPublicAccessBlockConfiguration",
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _setting(
        Inputs(required="bucket rule", optional="region", blocks={"rule": Inputs(required="objectOwnership")}),
        "bucket_ownership_controls",
        "OwnershipControls",
        shape=lambda inputs: {"rules": [inputs["rule"]]},
        unshape=lambda answer: {"rule": plain(answer["OwnershipControls"]["Rules"][0])},
        gone="OwnershipControlsNotFoundError",
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _setting(
        Inputs(required="bucket policy", optional="region"),
        "bucket_policy",
        "Policy",
        shape=lambda inputs: inputs["policy"],
        unshape=lambda answer: {"policy": answer["Policy"]},
        gone="NoSuchBucketPolicy",
    ),
    "aws:s3/bucketObject:BucketObject": Type(
        "s3",
        Inputs(required="bucket key content contentType", optional="region"),
        create=put_object,
        read=read_object,
        update=(Update("content contentType", put_object),),
        delete=delete_object,
        outputs="etag",
        volatile="etag",
        computed={"arn": lambda call, _: f"arn:{call.session.partition}:s3:::{call.id}"},
        gone=("NoSuchBucket", "NoSuchKey"),
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _setting(
        Inputs(
            required="bucket",
            optional="region",
            blocks={
                "rules": Inputs(
                    required="id status",
                    blocks={
                        "filter": Inputs(optional="prefix"),
                        "expiration": Inputs(optional="days expiredObjectDeleteMarker"),
                        "noncurrentVersionExpiration": Inputs(
                            required="noncurrentDays", optional="newerNoncurrentVersions"
                        ),
                        "abortIncompleteMultipartUpload": Inputs(optional="daysAfterInitiation"),
                    },
                )
            },
            lists="rules",
        ),
        "bucket_lifecycle_configuration",
        "LifecycleConfiguration",
        shape=dict,
        unshape=lambda answer: {"rules": plain(answer["Rules"])},
        gone="NoSuchLifecycleConfiguration",
        delete=lambda call: call.api.delete_bucket_lifecycle(Bucket=call.id),
    ),
}
