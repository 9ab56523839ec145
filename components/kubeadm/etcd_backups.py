"""EtcdBackups: the bucket that snapshots of etcd go to."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.base.bucket_guards import bucket_guards, without_tls
from components.base.policy_document import policy
from components.identity.self_signed_certificate import SelfSignedCertificate, SelfSignedCertificateArgs


@dataclass(frozen=True)
class EtcdBackupsArgs:
    """What EtcdBackups are made from."""

    #: Days that a snapshot is kept. One that was overwritten or deleted before is kept OLD_VERSION_DAYS more.
    keep_days: int
    #: True: the bucket goes with the stack, with all snapshots. False: while there are any, S3 refuses to delete it,
    #: and `pulumi destroy` says so.
    delete_with_stack: bool


#: Time to notice that a snapshot is missing, and to get it back.
OLD_VERSION_DAYS = 7


class EtcdBackups(pulumi.ComponentResource):
    """A private, versioned bucket, reached by TLS only, and the key pair of what lies in it.

    Machines encrypt snapshots with the public half: who breaks into one, or into the bucket, reads none.
    """

    bucket: pulumi.Output[str]
    #: IAM policy of those who write and read snapshots.
    write_policy: pulumi.Output[str]
    #: PEM; snapshots are encrypted for it.
    certificate: pulumi.Output[str]
    #: PEM; decrypts them. A secret.
    private_key: pulumi.Output[str]

    def __init__(self, name: str, args: EtcdBackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:backup:EtcdBackups", name, None, opts)
        pair = SelfSignedCertificate(name, SelfSignedCertificateArgs([name]), pulumi.ResourceOptions(parent=self))
        self.certificate, self.private_key = pair.certificate, pair.private_key
        bucket = aws.s3.Bucket(
            name,
            force_destroy=args.delete_with_stack,
            tags=tags.named(name),
            # A bucket that stays, because it has snapshots, keeps the key in the state.
            opts=pulumi.ResourceOptions(parent=self, depends_on=pair),
        )
        ends_with = pulumi.ResourceOptions(parent=self, deleted_with=bucket)
        bucket_guards(name, bucket, self, open_by_policy=False)
        aws.s3.BucketPolicy(name, bucket=bucket.id, policy=bucket.arn.apply(tls_only), opts=ends_with)
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                {
                    "id": "old-snapshots",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": args.keep_days},
                    "noncurrent_version_expiration": {"noncurrent_days": OLD_VERSION_DAYS},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=ends_with,
        )
        self.bucket = bucket.id
        self.write_policy = bucket.arn.apply(write_to)
        told = ("bucket", "write_policy", "certificate", "private_key")
        self.register_outputs({each: getattr(self, each) for each in told})


def tls_only(bucket_arn: str) -> str:
    """Bucket policy: nobody, with whatever rights, without TLS."""
    return policy(without_tls(bucket_arn))


def write_to(bucket_arn: str) -> str:
    """Permission to put, find and get snapshots, and not to delete any: that is the lifecycle's alone."""
    return policy(
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket_arn},
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
            "Resource": f"{bucket_arn}/*",
        },
    )
