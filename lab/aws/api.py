"""The lab's AWS endpoint, and how the lab itself calls it.

A request is journaled and answered by moto under one lock, so that a replay meets the same state in the same order.
Requests signed for `eks` go to the lab's own `lab.aws.eks.app`, which keeps its own state.

How `lab.aws.eks` is mounted, all being attributes of that package:
- `app(environ, start_response)`: WSGI. It asks `caller(environ)` who signed; the signature is verified before.
- `start()`: called once after the replay, when EC2 answers again; starts the background work and returns.
- `access_entry(cluster, arn) -> (username, groups) | None`: asked by the token authenticator.
And it adds to `lab.aws.ec2.bootstraps` what its nodes need.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from lab import constants
from lab.aws.signature import Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

    from lab.aws.front import Front

#: Held while moto works. Never call a host while holding it.
lock = threading.RLock()

#: The front of this process, when it is the daemon.
front: Front | None = None

#: The IAM user to whom the lab's credentials belong.
USER = "twinplane"


@dataclass(frozen=True)
class Credentials:
    """Of the lab's one administrator, an IAM user."""

    access_key: str
    secret_key: str


def directory() -> Path:
    """-> where the API keeps its state, readable for its owner alone."""
    path = constants.STATE / "aws"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def credentials() -> Credentials:
    """-> the lab's key, made at the first call, the same until `lab down`."""
    path = directory() / "credentials.json"
    if not path.exists():
        made = {"access_key": "AKIA" + _letters(16), "secret_key": secrets.token_urlsafe(30)}
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(made))
        # A link, not a rename: of two that make one at once, both go on with the first.
        try:
            os.link(unfinished, path)
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
    return Credentials(**json.loads(path.read_text()))


def _letters(count: int) -> str:
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(count))


@overload
def client(service: Literal["ec2"]) -> EC2Client: ...
@overload
def client(service: Literal["eks"]) -> EKSClient: ...
@overload
def client(service: Literal["iam"]) -> IAMClient: ...
@overload
def client(service: Literal["ssm"]) -> SSMClient: ...
@overload
def client(service: Literal["sts"]) -> STSClient: ...
def client(service: str) -> Any:
    """-> a boto3 client of the lab. Within the daemon its requests take no detour through the network."""
    return _client(service, credentials())


@cache
def _client(service: str, of: Credentials) -> Any:
    import boto3
    from botocore.config import Config

    made = boto3.session.Session(
        aws_access_key_id=of.access_key, aws_secret_access_key=of.secret_key, region_name=constants.REGION
    ).client(
        service,  # type: ignore[call-overload]
        endpoint_url=constants.API_URL,
        config=Config(ignore_configured_endpoint_urls=True, connect_timeout=5, read_timeout=60),
    )
    made.meta.events.register("before-send", _inside)
    return made


def _inside(request: Any, **_: Any) -> Any:
    """Answers a boto3 request from this process's front; where there is none, the network is used."""
    if front is None:
        return None
    from botocore.awsrequest import AWSResponse
    from werkzeug.test import create_environ

    path, _, query = request.url.removeprefix(constants.API_URL).partition("?")
    body = request.body or b""
    environ = create_environ(
        path=path or "/",
        base_url=constants.API_URL,
        query_string=query,
        method=request.method,
        headers=[(key, value if isinstance(value, str) else value.decode()) for key, value in request.headers.items()],
        data=body.encode() if isinstance(body, str) else body,
    )
    environ["RAW_URI"] = request.url.removeprefix(constants.API_URL)
    status, headers, chunks = respond(front, environ)
    return AWSResponse(request.url, status, headers, _Raw(b"".join(chunks)))


class _Raw(io.BytesIO):
    """The part of urllib3's response that botocore reads."""

    def stream(self, **_: Any) -> Iterable[bytes]:
        yield self.read()


def respond(app: Any, environ: WSGIEnvironment) -> tuple[int, dict[str, str], list[bytes]]:
    """Calls a WSGI application. -> status, headers, body."""
    got: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        got[:] = [int(status.split()[0]), dict(headers)]
        return lambda chunk: None

    chunks = app(environ, start)
    try:
        body = list(chunks)
    finally:
        getattr(chunks, "close", lambda: None)()
    return got[0], got[1], body


def access_key(environ: WSGIEnvironment) -> str:
    """-> the access key that signed a request whose signature was verified."""
    return str(environ["twinplane.access_key"])


def caller(environ: WSGIEnvironment) -> str:
    """-> the ARN of the signer of a request, such as `arn:aws:iam::123456789012:user/twinplane`."""
    from moto.sts import sts_backends

    with lock:
        backend = sts_backends[constants.ACCOUNT]["aws"]
        _, arn, _ = backend.get_caller_identity(access_key(environ), constants.REGION)
    return str(arn)


def secret(of: str) -> str:
    """-> the secret key of an access key, be it of a user or of an assumed role. Raises Refused for an unknown one."""
    from moto.iam import iam_backends

    with lock:
        key = iam_backends[constants.ACCOUNT]["aws"].access_keys.get(of)
    if key is None or key.status != "Active":
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    return str(key.secret_access_key)


def refuse(error: Refused, service: str, start_response: StartResponse, status: str = "403 Forbidden") -> list[bytes]:
    """Answers with an error in the words and the shape of a service. -> the body."""
    kind, code, message = "text/xml", error.code, str(error)
    if service == "ec2":
        text = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    elif service in {"iam", "sts", "elasticloadbalancing", "autoscaling"}:
        text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    elif service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    else:
        kind, text = "application/json", json.dumps({"__type": code, "code": code, "message": message})
    body = text.encode()
    start_response(
        status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-ErrorType", code)]
    )
    return [body]
