"""What botocore signs is accepted, and nothing else is."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from lab.cloud import signature
from lab.cloud.signature import Refused

SECRET = "a secret/with+signs"
URL = "http://127.0.0.1:4515"


def signed(method: str, url: str, body: bytes = b"", service: str = "ec2", presign: int = 0) -> AWSRequest:
    request = AWSRequest(method, url, data=body, headers={"X-Amz-Target": "a  b"})
    keys = Credentials("AKIAEXAMPLE", SECRET)
    if presign:
        SigV4QueryAuth(keys, service, "us-east-1", expires=presign).add_auth(request)
    else:
        SigV4Auth(keys, service, "us-east-1").add_auth(request)
    return request


def check(request: AWSRequest, secret: str = SECRET, body: bytes | None = None, later: float = 0) -> None:
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers = {
        key.lower(): str(value, "ascii") if isinstance(value, bytes) else value
        for key, value in prepared.headers.items()
    }
    headers["host"] = parts.netloc
    read = signature.read(parts.query, headers)
    assert read is not None
    assert read.access_key == "AKIAEXAMPLE"
    signature.verify(
        read,
        secret,
        method=request.method,
        path=parts.path,
        query=parts.query,
        headers=headers,
        body=(prepared.body or b"") if body is None else body,
        now=lambda: datetime.now(UTC) + timedelta(seconds=later),
    )


@given(
    path=st.sampled_from(["/", "/clusters/a/node-groups", "/tags/arn%3Aaws%3Aeks%3A%3A%3Acluster%2Fa"]),
    query=st.sampled_from(["", "?a=1&A=2", "?b=%20&a", "?x=%2F&x=1"]),
    body=st.binary(max_size=20),
    presign=st.sampled_from([0, 60]),
)
def test_accepts_what_botocore_signs(path: str, query: str, body: bytes, presign: int) -> None:
    method = "GET" if presign else "POST"
    check(signed(method, URL + path + query, b"" if presign else body, service="eks", presign=presign))


@pytest.mark.parametrize("presign", [0, 60])
def test_refuses_another_secret(presign: int) -> None:
    with pytest.raises(Refused, match="does not match"):
        check(signed("GET", URL + "/?Action=GetCallerIdentity", service="sts", presign=presign), secret="another")


def test_refuses_another_body() -> None:
    with pytest.raises(Refused):
        check(signed("POST", URL + "/", b"Action=DescribeVpcs"), body=b"Action=DeleteVpc")


@pytest.mark.parametrize(
    ("presign", "later", "good"), [(0, 200, True), (0, 400, False), (60, 50, True), (60, 70, False), (60, -400, False)]
)
def test_a_signature_has_its_time(presign: int, later: float, good: bool) -> None:
    request = signed("GET", URL + "/?Action=GetCallerIdentity", service="sts", presign=presign)
    if good:
        check(request, later=later)
    else:
        with pytest.raises(Refused, match="too far from now"):
            check(request, later=later)


@pytest.mark.parametrize(
    "header",
    [
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x",
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256",
    ],
)
def test_a_malformed_signature_is_refused_not_a_crash(header: str) -> None:
    with pytest.raises(Refused, match="malformed"):
        signature.read("", {"authorization": header, "x-amz-date": "20261124T000000Z"})


def test_unsigned() -> None:
    assert signature.read("Action=GetCallerIdentity", {}) is None
