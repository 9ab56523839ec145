"""OidcIssuer: the key that signs the tokens of a cluster's service accounts, and what the world may know of it."""

from __future__ import annotations

import base64
import hashlib
import json

import pulumi
import pulumi_aws as aws
import pulumi_command as command
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from components.base import tags
from components.base.bucket_guards import bucket_guards
from components.base.interpreter import interpreter

#: What the bucket has (https://openid.net/specs/openid-connect-discovery-1_0.html); the keys where the API server
#: itself has them.
DISCOVERY, KEYS = ".well-known/openid-configuration", "openid/v1/jwks"
#: As kubeadm makes it.
BITS = "2048"


class OidcIssuer(pulumi.ComponentResource):
    """The key that an API server signs tokens with, and its public half in a bucket that nobody reads before there is
    an OidcTrust. The key is made once and stays as long as the stack.
    """

    #: "https://...", for --service-account-issuer; without a slash at its end.
    url: pulumi.Output[str]
    #: PEM, RSA. A secret.
    signing_key: pulumi.Output[str]
    public_key: pulumi.Output[str]
    bucket: aws.s3.Bucket
    #: What the bucket has, and what keeps all but a bucket policy from opening it.
    documents: list[pulumi.CustomResource]

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

        self.bucket = aws.s3.Bucket(name, force_destroy=True, tags=tags.named(name), opts=child)
        guards = bucket_guards(name, self.bucket, self, open_by_policy=True)
        region, suffix = aws.get_region_output(opts=of_child).region, aws.get_partition_output(opts=of_child).dns_suffix
        self.url = pulumi.Output.format("https://{0}.s3.{1}.{2}", self.bucket.id, region, suffix)
        documents = {DISCOVERY: self.url.apply(discovery), KEYS: self.public_key.apply(key_set)}
        objects = [
            aws.s3.BucketObject(
                f"{name}-{key.rpartition('/')[2]}",
                bucket=self.bucket.id,
                key=key,
                content=content,
                content_type="application/json",
                opts=pulumi.ResourceOptions(parent=self, deleted_with=self.bucket, depends_on=guards),
            )
            for key, content in documents.items()
        ]
        self.documents = [*guards, *objects]
        told = ("url", "signing_key", "public_key")
        self.register_outputs({each: getattr(self, each) for each in told})


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
