"""The lab's AWS, as the lab itself calls it: the administrator's credentials, and boto3 clients.

Within the daemon these clients take no detour through the network: they ask the daemon's endpoint.
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
from lab.cloud import wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

#: Held while moto works. Never call a host while holding it.
lock = threading.RLock()

#: What answers in this process, where it is the daemon: lab/cloud/cloud.py sets it.
endpoint: WSGIApplication | None = None

#: The IAM user to whom the lab's credentials belong.
USER = "twinplane"


@dataclass(frozen=True)
class Credentials:
    """Of the lab's one administrator, an IAM user."""

    access_key: str
    secret_key: str


def directory() -> Path:
    """Returns where the API keeps its state, readable for its owner alone."""
    path = constants.STATE / "aws"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def credentials() -> Credentials:
    """Returns the lab's key, made at the first call, the same until `lab down`."""
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


def respond(environ: WSGIEnvironment) -> wsgi.Answer:
    """Returns the answer of this process's endpoint."""
    assert endpoint is not None, "the daemon has its endpoint before anything asks it"
    return wsgi.respond(endpoint, environ)


@overload
def client(service: Literal["ec2"]) -> EC2Client: ...
@overload
def client(service: Literal["eks"]) -> EKSClient: ...
@overload
def client(service: Literal["iam"]) -> IAMClient: ...
@overload
def client(service: Literal["ssm"]) -> SSMClient: ...
@overload
def client(service: Literal["kms"]) -> Any: ...
@overload
def client(service: Literal["sts"]) -> STSClient: ...
def client(service: str) -> Any:
    """Returns a boto3 client of the lab. Within the daemon its requests take no detour through the network."""
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
        config=Config(connect_timeout=5, read_timeout=60),
    )
    made.meta.events.register("before-send", _inside)
    return made


def _inside(request: Any, **_: Any) -> Any:
    """Answers a boto3 request from this process's endpoint; where there is none, the network is used."""
    if endpoint is None:
        return None
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    body = request.body or b""
    body = body.read() if hasattr(body, "read") else body  # of S3, a stream
    headers = {key: value if isinstance(value, str) else value.decode() for key, value in request.headers.items()}
    target = request.url.removeprefix(constants.API_URL)
    environ = wsgi.environ(request.method, target, headers, body.encode() if isinstance(body, str) else body)
    status, headers, chunks = wsgi.respond(endpoint, environ)
    return AWSResponse(request.url, status, HTTPHeaders.from_dict(headers), _Raw(b"".join(chunks)))


class _Raw(io.BytesIO):
    """The part of urllib3's response that botocore reads."""

    def stream(self, **_: Any) -> Iterable[bytes]:
        yield self.read()
