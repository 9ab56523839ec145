"""OidcIssuer: what makes IAM believe the tokens of a cluster's service accounts."""

from __future__ import annotations

import base64
import hashlib
import json

import pulumi
import pulumi_aws as aws
import pulumi_command as command
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from components import tags
from components.bucket_guards import bucket_guards, without_tls
from components.interpreter import interpreter
from components.pod_identity import AUDIENCE, OidcIdentity
from components.policy_document import policy

#: What anyone reads in the bucket (https://openid.net/specs/openid-connect-discovery-1_0.html), and nothing else;
#: the keys where the API server itself has them.
DISCOVERY, KEYS = ".well-known/openid-configuration", "openid/v1/jwks"
#: As kubeadm makes it.
BITS = "2048"


class OidcIssuer(pulumi.ComponentResource):
    """The key that an API server signs tokens with, its public half in a bucket, and IAM's trust in it.

    The cluster's own address may be private: IAM reads the bucket alone. The key is made once and stays as long as the
    stack.
    """

    #: "https://...", for --service-account-issuer; without a slash at its end.
    url: pulumi.Output[str]
    #: PEM, RSA. A secret.
    signing_key: pulumi.Output[str]
    public_key: pulumi.Output[str]
    #: Of IAM's trust, known when IAM can read the keys.
    provider_arn: pulumi.Output[str]
    #: What a PodIdentity takes.
    identity: OidcIdentity

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:identity:OidcIssuer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        of_child = pulumi.InvokeOptions(parent=self)
        pair = command.local.Command(
            name,
            interpreter=interpreter("signing_key"),
            create=BITS,
            logging=command.local.Logging.NONE,
            # Another key ends every token: another Python must not make one.
            opts=pulumi.ResourceOptions(
                parent=self, additional_secret_outputs=["stdout"], ignore_changes=["interpreter", "create"]
            ),
        )
        halves = pair.stdout.apply(json.loads)
        self.signing_key = pulumi.Output.secret(halves.apply(lambda pair: str(pair["private"])))
        self.public_key = pulumi.Output.unsecret(halves.apply(lambda pair: str(pair["public"])))

        bucket = aws.s3.Bucket(name, force_destroy=True, tags=tags.named(name), opts=child)
        guards = bucket_guards(name, bucket, readable, self, open_by_policy=True)
        region, suffix = aws.get_region_output(opts=of_child).region, aws.get_partition_output(opts=of_child).dns_suffix
        self.url = pulumi.Output.format("https://{0}.s3.{1}.{2}", bucket.id, region, suffix)
        documents = {DISCOVERY: self.url.apply(discovery), KEYS: self.public_key.apply(key_set)}
        objects = [
            aws.s3.BucketObject(
                f"{name}-{key.rpartition('/')[2]}",
                bucket=bucket.id,
                key=key,
                content=content,
                content_type="application/json",
                opts=pulumi.ResourceOptions(parent=self, deleted_with=bucket, depends_on=guards),
            )
            for key, content in documents.items()
        ]
        self.provider_arn = aws.iam.OpenIdConnectProvider(
            name,
            url=self.url,
            client_id_lists=[AUDIENCE],
            tags=tags.named(name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=objects),
        ).arn
        self.identity = OidcIdentity(self.url, self.provider_arn)
        told = ("url", "signing_key", "public_key", "provider_arn")
        self.register_outputs({each: getattr(self, each) for each in told})


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


def discovery(url: str) -> str:
    """What the issuer at `url` is and has, as the API server says it of itself."""
    return json.dumps(
        {
            "issuer": url,
            "jwks_uri": f"{url}/{KEYS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    )


def key_set(public_key: str) -> str:
    """The JSON Web Key Set of one RSA key in PEM, named as the API server names it in its tokens
    (https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/serviceaccount/jwt.go, keyIDFromPublicKey)."""
    key = load_pem_public_key(public_key.encode())
    if not isinstance(key, RSAPublicKey):
        raise TypeError("the signing key of service accounts must be RSA")
    name = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    numbers = {"n": key.public_numbers().n, "e": key.public_numbers().e}
    parts = {letter: _base64(value.to_bytes((value.bit_length() + 7) // 8)) for letter, value in numbers.items()}
    return json.dumps({"keys": [{"use": "sig", "kty": "RSA", "kid": _base64(name), "alg": "RS256", **parts}]})


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
