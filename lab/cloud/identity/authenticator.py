"""Who calls a cluster: checks the tokens of `aws eks get-token` for its API server, as EKS does.

A token is a presigned GetCallerIdentity request. The API server of a cluster sends it in a TokenReview (webhooks.py);
the request is replayed to STS, and the ARN that STS answers is looked up in the cluster's access entries. The same way
as https://github.com/kubernetes-sigs/aws-iam-authenticator.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from lab import constants
from lab.cloud import api, callers, signature, wsgi
from lab.cloud.signature import Refused

#: Path of its webhook.
WHAT = "authenticate"
PREFIX = "k8s-aws-v1."
#: Longest token that is read, as of aws-iam-authenticator.
LONGEST = 4096
#: A token is good for this long after it was signed, whatever it says itself.
LIFE = timedelta(minutes=15)
#: What a token's request may carry, and nothing else.
PARAMETERS = {
    "Action", "Version", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token",
    "X-Amz-SignedHeaders", "X-Amz-Signature",
}  # fmt: skip

AccessEntry = Callable[[str, str], tuple[str, tuple[str, ...]] | None]

log = logging.getLogger(__name__)


def identify(token: str, cluster: str) -> str:
    """Returns the ARN of the IAM user or role whose keys signed a token for a cluster. Raises Refused."""
    if not token.startswith(PREFIX) or len(token) > LONGEST:
        raise Refused("InvalidToken", f"not a token of the form {PREFIX}...")
    text = token.removeprefix(PREFIX)
    try:
        request = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        parts = urlsplit(request)
        parameters = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    except (ValueError, binascii.Error):
        raise Refused("InvalidToken", "the token is not a presigned request in base64") from None
    if f"{parts.scheme}://{parts.netloc}" not in _endpoints() or parts.path != "/":
        raise Refused(
            "InvalidToken", f"the request in the token goes to {parts.scheme}://{parts.netloc}{parts.path}, not to STS"
        )
    if set(parameters) - PARAMETERS or any(len(values) > 1 for values in parameters.values()):
        raise Refused("InvalidToken", "the request in the token has parameters that do not belong there")
    if parameters.get("Action") != ["GetCallerIdentity"]:
        raise Refused("InvalidToken", "the request in the token is not GetCallerIdentity")
    headers = {"host": parts.netloc, "x-k8s-aws-id": cluster}
    signed = signature.read(parts.query, headers)
    if signed is None or signed.service != "sts" or set(signed.headers) != set(headers):
        raise Refused("InvalidToken", "the token must be signed for sts with the headers host and x-k8s-aws-id")
    if datetime.now(UTC) - signed.time > LIFE:
        raise Refused("RequestExpired", "the token has expired")
    signature.verify(
        signed,
        callers.secret(signed.access_key),
        method="GET",
        path=parts.path,
        query=parts.query,
        headers=headers,
        body=b"",
    )
    return _replay(parts.query, headers)


def _endpoints() -> set[str]:
    """STS as the lab's callers reach it; as AWS's names where a caller signs for them."""
    urls = {constants.API_URL, constants.FABRIC_API_URL}
    return urls | {"https://sts.amazonaws.com", f"https://sts.{constants.REGION}.amazonaws.com"}


def _replay(query: str, headers: dict[str, str]) -> str:
    """Sends the presigned request to STS. -> the IAM ARN: of an assumed role, the role's."""
    status, _, chunks = api.respond(wsgi.environ("GET", f"/?{query}", headers, b""))
    answer = ElementTree.fromstring(b"".join(chunks))
    if status != 200:
        raise Refused("InvalidToken", f"STS refuses the request in the token: {answer.findtext('.//{*}Message')}")
    arn = answer.findtext(".//{*}Arn") or ""
    role = re.fullmatch(r"arn:(aws[^:]*):sts::(\d+):assumed-role/([^/]+)/.*", arn)
    return f"arn:{role[1]}:iam::{role[2]}:role/{role[3]}" if role else arn


def review(body: bytes, cluster: str, access_entry: AccessEntry) -> dict[str, Any]:
    """Answers a TokenReview (authentication.k8s.io/v1). Returns the same with its status. Raises ValueError for
    another."""
    asked = json.loads(body)
    if asked.get("kind") != "TokenReview":
        raise ValueError("not a TokenReview")
    status: dict[str, Any] = {"authenticated": False}
    try:
        arn = identify(asked["spec"]["token"], cluster)
        entry = access_entry(cluster, arn)
        if entry is None:
            raise Refused("AccessDenied", f"{arn} has no access entry in cluster {cluster}")
        status = {
            "authenticated": True,
            "user": {
                "username": entry[0],
                "uid": f"aws-iam-authenticator:{constants.ACCOUNT}:{arn}",
                "groups": list(entry[1]),
                "extra": {"arn": [arn]},
            },
        }
    except Refused as error:
        log.info("cluster %s: %s", cluster, error)
        status["error"] = str(error)
    return {"apiVersion": asked.get("apiVersion", "authentication.k8s.io/v1"), "kind": "TokenReview", "status": status}
