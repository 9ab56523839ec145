"""OidcTrust: what makes IAM believe the tokens of an OidcIssuer."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.base import tags
from components.base.bucket_guards import without_tls
from components.base.policy_document import policy
from components.identity.oidc_issuer import DISCOVERY, KEYS, OidcIssuer
from components.identity.pod_identity import AUDIENCE, OidcIdentity


@dataclass(frozen=True)
class OidcTrustArgs:
    """What an OidcTrust is made from."""

    issuer: OidcIssuer
    #: Known name of the issuer, and so of what is made here.
    name: str


class OidcTrust(pulumi.ComponentResource):
    """Anyone reads the issuer's documents, and IAM trusts what they prove. It is to depend on the cluster.

    S3 refuses a public policy while its block of public access still holds somewhere (AccessDenied), for some seconds
    after the block was lifted; the AWS provider tries again for two other errors alone
    (https://github.com/hashicorp/terraform-provider-aws, internal/service/s3/bucket_policy.go). Nothing but IAM's trust
    needs the policy, and nothing but pods' roles needs that trust: so both come after the cluster, minutes after the
    block, and no document is open before there are tokens to prove.
    """

    #: Of IAM's trust, known when IAM can read the keys.
    provider_arn: pulumi.Output[str]
    #: What a PodIdentity takes.
    identity: OidcIdentity

    def __init__(self, name: str, args: OidcTrustArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:identity:OidcTrust", name, None, opts)
        issuer = args.issuer
        # Both were the issuer's once.
        known = [pulumi.Alias(parent=issuer)]
        opened = aws.s3.BucketPolicy(
            args.name,
            bucket=issuer.bucket.id,
            policy=issuer.bucket.arn.apply(readable),
            opts=pulumi.ResourceOptions(
                parent=self, deleted_with=issuer.bucket, depends_on=issuer.documents, aliases=known
            ),
        )
        self.provider_arn = aws.iam.OpenIdConnectProvider(
            args.name,
            url=issuer.url,
            client_id_lists=[AUDIENCE],
            tags=tags.named(args.name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[opened], aliases=known),
        ).arn
        self.identity = OidcIdentity(issuer.url, self.provider_arn)
        self.register_outputs({"provider_arn": self.provider_arn})


def readable(bucket_arn: str) -> str:
    """Bucket policy: anyone gets the two documents, by TLS."""
    read = {
        "Sid": "Documents",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": [f"{bucket_arn}/{DISCOVERY}", f"{bucket_arn}/{KEYS}"],
    }
    return policy(read, without_tls(bucket_arn))
