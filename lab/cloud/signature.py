"""AWS Signature Version 4, as the receiving side checks it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

ALGORITHM = "AWS4-HMAC-SHA256"
#: How far a signer's clock may be off.
SKEW = timedelta(minutes=5)
#: Longest life of a presigned request that does not say how long (X-Amz-Expires).
LIFE = timedelta(minutes=15)


class Refused(Exception):
    """A request that AWS would not accept; `code` is AWS's name for the reason, `status` that of the answer."""

    def __init__(self, code: str, message: str, status: str = "403 Forbidden") -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Signature:
    """Who signed a request, for what and when."""

    access_key: str
    region: str
    service: str
    time: datetime
    headers: tuple[str, ...]  # names of the signed ones, lower case
    value: str
    life: timedelta | None  # of a presigned request


def read(query: str, headers: Mapping[str, str]) -> Signature | None:
    """Returns the signature in the Authorization header or the query; None for an unsigned request.

    `query` is the raw query string, `headers` have lower-case names. Raises Refused for a malformed signature.
    """
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    try:
        if headers.get("authorization", "").startswith(ALGORITHM):
            text = headers["authorization"].removeprefix(ALGORITHM)
            parts = dict(part.strip().split("=", 1) for part in text.split(","))
            credential, signed, value = parts["Credential"], parts["SignedHeaders"], parts["Signature"]
            stamp, life = headers["x-amz-date"], None
        elif parameters.get("X-Amz-Algorithm") == ALGORITHM:
            credential, signed = parameters["X-Amz-Credential"], parameters["X-Amz-SignedHeaders"]
            value, stamp = parameters["X-Amz-Signature"], parameters["X-Amz-Date"]
            life = timedelta(seconds=int(parameters["X-Amz-Expires"])) if "X-Amz-Expires" in parameters else LIFE
        else:
            return None
        access_key, day, region, service, end = credential.split("/")
        time = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if end != "aws4_request" or day != stamp[:8]:
            raise ValueError(credential)
    except (KeyError, ValueError) as error:
        raise Refused("IncompleteSignature", f"The request's signature is malformed: {error}") from None
    return Signature(access_key, region, service, time, tuple(signed.split(";")), value, life)


def verify(
    signature: Signature,
    secret: str,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Checks time and value of a signature over the request as it came (`path` and `query` still encoded).

    Raises Refused.
    """
    age = now() - signature.time
    if age < -SKEW or age > (SKEW if signature.life is None else signature.life):
        raise Refused(
            "RequestExpired", f"The request was signed at {signature.time:%Y-%m-%dT%H:%M:%SZ}: too far from now."
        )
    pairs = parse_qsl(query, keep_blank_values=True)
    if signature.life is not None:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    encoded = sorted((quote(key, safe="-_.~"), quote(value, safe="-_.~")) for key, value in pairs)
    # Of a presigned request the body is not signed: the services that take one (STS) sign the empty one.
    digest = headers.get("x-amz-content-sha256", "") if signature.life is None else ""
    if signature.life is not None and signature.service == "s3":
        digest = "UNSIGNED-PAYLOAD"
    if digest.startswith(("UNSIGNED", "STREAMING")):
        pass
    elif digest not in {"", hashlib.sha256(body).hexdigest()}:
        raise Refused("SignatureDoesNotMatch", "The body is not the one that was signed.")
    else:
        digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(
        (
            method,
            # Every service but S3 signs the encoded path encoded once more.
            (path if signature.service == "s3" else quote(path, safe="/-_.~")) or "/",
            "&".join(f"{key}={value}" for key, value in encoded),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signature.headers),
            "",
            ";".join(signature.headers),
            digest,
        )
    )
    stamp = f"{signature.time:%Y%m%dT%H%M%SZ}"
    scope = f"{stamp[:8]}/{signature.region}/{signature.service}/aws4_request"
    text = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature.value):
        raise Refused(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key.",
        )
