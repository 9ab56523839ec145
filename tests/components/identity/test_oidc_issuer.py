"""OidcIssuer: what the world reads of it, and the API server's key set."""

import base64
import hashlib
import json
from typing import Any

import pulumi
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from components.identity.oidc_issuer import OidcIssuer, discovery, key_set
from components.identity.oidc_trust import OidcTrust, OidcTrustArgs, readable
from policies.guards import no_public_buckets
from tests.support import golden_files
from tests.support.pulumi_mocks import PUBLIC_KEY, Graph, contains_secret, run
from twinplane.generate.signing_key import key_pair

URL = "https://i-id.s3.us-east-1.test.example"


def issuer(name: str = "i") -> Graph:
    def program() -> None:
        made = OidcIssuer(name)
        trust = OidcTrust(f"{name}-trust", OidcTrustArgs(made, name))
        pulumi.export("url", made.url)
        pulumi.export("provider", trust.provider_arn)
        pulumi.export("key", made.signing_key)
        pulumi.export("public", made.public_key)

    return run(program)


def test_its_url_is_the_bucket_s_own() -> None:
    graph = issuer()
    assert graph.exports["url"] == graph.one("OpenIdConnectProvider").inputs["url"] == URL
    assert issuer("other").exports["url"] == URL.replace("i-", "other-")
    assert graph.one("OpenIdConnectProvider").inputs["clientIdLists"] == ["sts.amazonaws.com"]


def test_documents_are_what_the_issuer_says_of_itself() -> None:
    graph = issuer()
    found = {each.inputs["key"]: each for each in graph.all("BucketObject")}
    assert json.loads(found[".well-known/openid-configuration"].inputs["content"])["issuer"] == URL
    assert found["openid/v1/jwks"].inputs["content"] == key_set(PUBLIC_KEY)
    assert {each.inputs["contentType"] for each in found.values()} == {"application/json"}
    # IAM may ask as soon as the provider is there.
    policy = graph.one("BucketPolicy")
    assert policy.urn in graph.one("OpenIdConnectProvider").dependencies
    assert {each.urn for each in found.values()} <= policy.dependencies
    assert graph.one("BucketPublicAccessBlock").urn in policy.dependencies


def test_anyone_reads_the_two_and_nothing_else() -> None:
    graph = issuer()
    policy = graph.one("BucketPolicy").inputs["policy"]
    assert policy == readable("arn:aws-test:s3:::i-0123abc")
    assert [*no_public_buckets(graph.one("BucketPolicy").type, {"policy": policy})] == []
    closed = graph.one("BucketPublicAccessBlock").inputs
    assert {name for name, value in closed.items() if value is True} == {"blockPublicAcls", "ignorePublicAcls"}
    assert graph.one("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    assert graph.one("BucketServerSideEncryptionConfiguration").inputs["rules"]


def test_the_private_half_is_a_secret_and_stays_the_same() -> None:
    graph = issuer()
    assert contains_secret(graph.raw_exports["key"])
    assert not contains_secret(graph.raw_exports["public"])
    made = graph.one("Command")
    assert (made.inputs["create"], made.inputs["logging"]) == ("2048", "none")
    assert {"interpreter", "create"} <= set(made.ignore_changes)
    for each in graph.all("BucketObject"):
        assert "PRIVATE" not in each.inputs["content"]


def test_documents_are_the_golden_ones() -> None:
    documents = {"policy": readable("arn:aws:s3:::b"), "discovery": discovery(URL), "keys": key_set(PUBLIC_KEY)}
    text = json.dumps({name: json.loads(document) for name, document in documents.items()}, indent=1)
    golden_files.check("oidc_issuer.json", text + "\n")


def test_a_key_set_has_the_key_by_the_name_that_tokens_have() -> None:
    pair = key_pair(2048)
    private: Any = load_pem_private_key(pair["private"].encode(), None)
    public = private.public_key()
    assert public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() == pair["public"]
    [key] = json.loads(key_set(pair["public"]))["keys"]

    def number(text: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=="))

    assert (number(key["n"]), number(key["e"])) == (public.public_numbers().n, 65537)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key["kid"] == base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    assert pair["private"].startswith("-----BEGIN RSA PRIVATE KEY-----\n")


def test_only_rsa() -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(TypeError, match="must be RSA"):
        key_set(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
