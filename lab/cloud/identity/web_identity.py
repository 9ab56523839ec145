"""Tokens that stand for keys: whether STS may give a role to who shows one of an OpenID Connect issuer.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html

The issuer's public keys are read where AWS reads them, at its URL: in the lab a bucket of the lab's own S3, since
nothing here leaves the machine.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from moto.iam.models import OpenIDConnectProvider, iam_backends

from lab import constants
from lab.cloud import api
from lab.cloud.identity import public_objects
from lab.cloud.signature import Refused

OPERATION = "AssumeRoleWithWebIdentity"
ACTION = f"sts:{OPERATION}"
#: Of a bucket's host name.
S3 = f".s3.{constants.REGION}.amazonaws.com"
#: Operators of conditions on claims; any other is met by nothing.
OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda claim, wanted: claim == wanted,
    "StringLike": fnmatchcase,
}

Json = Mapping[str, Any]


class _Bad(Refused):
    """A token that STS cannot take for one."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message, "400 Bad Request")


def check(token: str, role_arn: str) -> None:
    """Raises Refused unless the token is of an issuer that IAM trusts, alive, and one that the role trusts."""
    header, claims, signed, signature = _parts(token)
    provider = _provider(str(claims.get("iss", "")))
    _verify(header, str(claims["iss"]), signed, signature)
    if not float(claims.get("nbf", 0)) <= time.time() < float(claims.get("exp", 0)):
        raise _Bad("ExpiredTokenException", "Token expired: the current time is not within the token's.")
    # Of more than one audience AWS asks for `azp`, which Kubernetes does not set.
    audience = _listed(claims.get("aud"))
    if len(audience) != 1 or audience[0] not in provider.client_id_list:
        raise _Bad("InvalidIdentityToken", "Incorrect token audience")
    if not _trusts(role_arn, provider, {"sub": str(claims.get("sub", "")), "aud": audience[0]}):
        raise Refused("AccessDenied", f"Not authorized to perform {ACTION}")


def _parts(token: str) -> tuple[Json, Json, bytes, bytes]:
    try:
        head, body, signature = token.split(".")
        header, claims, sealed = json.loads(_octets(head)), json.loads(_octets(body)), _octets(signature)
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise ValueError(token)
    except ValueError:
        raise _Bad("InvalidIdentityToken", "The ID Token provided is not a valid JWT.") from None
    return header, claims, f"{head}.{body}".encode(), sealed


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _provider(issuer: str) -> OpenIDConnectProvider:
    with api.lock:
        for provider in iam_backends[constants.ACCOUNT]["aws"].open_id_providers.values():
            if f"https://{provider.url}" == issuer:
                return provider
    raise _Bad("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")


def _verify(header: Json, issuer: str, signed: bytes, signature: bytes) -> None:
    """Raises Refused unless a key of the issuer made the signature."""
    document = _fetch(f"{issuer}/.well-known/openid-configuration")
    if document.get("issuer") != issuer:
        raise _Bad("InvalidIdentityToken", "The issuer in the provider's configuration is another than the token's.")
    for key in _fetch(str(document.get("jwks_uri")))["keys"]:
        if (key["kid"], key["kty"], "RS256") == (header.get("kid"), "RSA", header.get("alg")):
            numbers = rsa.RSAPublicNumbers(*(int.from_bytes(_octets(key[each])) for each in ("e", "n")))
            try:
                numbers.public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
            except InvalidSignature:
                break
            return
    raise _Bad("InvalidIdentityToken", "The signature of the token is of no key of its issuer.")


def _fetch(url: str) -> Json:
    parts = urlsplit(url)
    found = None
    if parts.scheme == "https" and parts.netloc.endswith(S3):
        found = public_objects.get(parts.netloc.removesuffix(S3), unquote(parts.path).removeprefix("/"))
    if found is None:
        raise _Bad("InvalidIdentityToken", f"Couldn't retrieve verification key from your identity provider: {url}")
    return dict(json.loads(found))


def _trusts(role_arn: str, provider: OpenIDConnectProvider, claims: Mapping[str, str]) -> bool:
    """Returns whether the role's trust policy allows who has those claims of that provider, and denies it nowhere."""
    with api.lock:
        roles = iam_backends[constants.ACCOUNT]["aws"].roles.values()
        policy = next((each.assume_role_policy_document for each in roles if each.arn == role_arn), None)
    context = {f"{provider.url}:{name}": value for name, value in claims.items()}
    effects = {
        statement["Effect"]
        for statement in _listed(json.loads(policy)["Statement"] if policy else None)
        if ACTION in _listed(statement.get("Action"))
        and provider.arn in _listed((statement.get("Principal") or {}).get("Federated"))
        and _met(statement.get("Condition") or {}, context)
    }
    return effects == {"Allow"}


def _met(conditions: Mapping[str, Json], context: Mapping[str, str]) -> bool:
    return all(
        operator in OPERATORS
        and key in context
        and any(OPERATORS[operator](context[key], each) for each in _listed(wanted))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, (str, Mapping)) else [value]
