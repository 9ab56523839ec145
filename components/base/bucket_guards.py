"""What guards a bucket: S3's own encryption, versions, no access lists, a block of public access."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws


def bucket_guards(
    name: str, bucket: aws.s3.Bucket, parent: pulumi.Resource, *, open_by_policy: bool
) -> list[pulumi.CustomResource]:
    """Makes the guards, but for the bucket's policy; only where `open_by_policy` is true may one let the public in.
    They end with the bucket, and stay with it where S3 refuses to delete it.

    Encrypted with S3's own keys: a key of the stack's own would end with the stack.
    """
    child = pulumi.ResourceOptions(parent=parent, deleted_with=bucket)
    block = aws.s3.BucketPublicAccessBlock(
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=not open_by_policy,
        ignore_public_acls=True,
        restrict_public_buckets=not open_by_policy,
        opts=child,
    )
    return [
        block,
        aws.s3.BucketVersioning(name, bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=child),
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        ),
        aws.s3.BucketOwnershipControls(
            name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        ),
    ]


def without_tls(bucket_arn: str) -> dict[str, object]:
    """Statement of a bucket policy: nobody, with whatever rights, without TLS."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket_arn, f"{bucket_arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
