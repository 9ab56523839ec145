"""The lab's AWS endpoint, and how the lab itself calls it.

A request is journaled and answered by moto under one lock, so that a replay meets the same state in the same order.
Requests signed for `eks` and `eks-auth` go to the lab's own `lab.cloud.eks.app`, which keeps its own state.

How `lab.cloud.eks` is mounted, all being attributes of that package:
- `app(environ, start_response)`: WSGI. It asks `caller(environ)` who signed; the signature is verified before.
- `start()`: called once after the replay, when EC2 answers again; starts the background work and returns.
- `access_entry(cluster, arn) -> (username, groups) | None`: asked by the token authenticator.
And it adds to `lab.cloud.ec2.ec2.bootstraps` what its nodes need.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from lab import constants, supervisor
from lab.cloud.endpoint import wsgi
from lab.cloud.endpoint.signature import Refused
from lab.machines import resolver
from lab.machines.host import Host
from twinplane.errors import Failed, UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

    from lab.cloud.endpoint.endpoint import Endpoint

#: Held while moto works. Never call a host while holding it.
lock = threading.RLock()

#: The front of this process, when it is the daemon.
front: Endpoint | None = None

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
def client(service: Literal["kms"]) -> Any: ...
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
        config=Config(connect_timeout=5, read_timeout=60),
    )
    made.meta.events.register("before-send", _inside)
    return made


def _inside(request: Any, **_: Any) -> Any:
    """Answers a boto3 request from this process's front; where there is none, the network is used."""
    if front is None:
        return None
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    body = request.body or b""
    body = body.read() if hasattr(body, "read") else body  # of S3, a stream
    headers = {key: value if isinstance(value, str) else value.decode() for key, value in request.headers.items()}
    target = request.url.removeprefix(constants.API_URL)
    environ = wsgi.environ(request.method, target, headers, body.encode() if isinstance(body, str) else body)
    status, headers, chunks = wsgi.respond(front, environ)
    return AWSResponse(request.url, status, HTTPHeaders.from_dict(headers), _Raw(b"".join(chunks)))


class _Raw(io.BytesIO):
    """The part of urllib3's response that botocore reads."""

    def stream(self, **_: Any) -> Iterable[bytes]:
        yield self.read()


def access_key(environ: WSGIEnvironment) -> str:
    """-> the access key that signed a request whose signature was verified."""
    return str(environ["twinplane.access_key"])


def caller(environ: WSGIEnvironment) -> str:
    """-> the ARN of the signer of a request, such as `arn:aws:iam::123456789012:user/twinplane`."""
    from moto.sts.models import sts_backends

    with lock:
        backend = sts_backends[constants.ACCOUNT]["aws"]
        _, arn, _ = backend.get_caller_identity(access_key(environ), constants.REGION)
    return str(arn)


def secret(of: str) -> str:
    """-> the secret key of an access key, be it of a user or of an assumed role. Raises Refused for an unknown one."""
    from moto.iam.models import iam_backends

    with lock:
        key = iam_backends[constants.ACCOUNT]["aws"].access_keys.get(of)
    if key is None or key.status != "Active":
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    return str(key.secret_access_key)


@cache
def code() -> str:
    """-> digest of the lab's modules, as this process found them."""
    digest = hashlib.sha256()
    for file in sorted((constants.PROJECT / "lab").rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def health() -> dict[str, Any] | None:
    """-> what the daemon says of itself (`ready`, `pid`, `parts`, `failure`, `code`); None where none answers."""
    try:
        with urllib.request.urlopen(f"{constants.API_URL}/lab/health", timeout=5) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError):
        return None


def check_port() -> None:
    """Raises UsageError when another program than the lab's daemon has the port."""
    if health() is None and not supervisor.alive("daemon") and _listening():
        raise UsageError(port_taken())


def port_taken() -> str:
    """-> what to tell whoever finds the port of the API in use."""
    port = constants.API_PORT
    return f"port {port} is taken by another program: see which with `ss -ltnp 'sport = :{port}'` and stop it"


def up(progress: Callable[[str], None], timeout: float = 300) -> None:
    """Starts the daemon and waits until it is ready: at once where it is already. One of other code is replaced, and
    the name server with it: it would not know what this one's plugins ask for. Machines and clusters live on meanwhile,
    and boot by this one's code next time.

    Raises UsageError when the port is taken, Failed when a part of the daemon does not start in `timeout` seconds.
    """
    check_port()
    credentials()
    if (running := health()) and running.get("code") != code():
        progress("replacing the daemon, which is of other code")
        supervisor.stop("daemon")
        resolver.renew()
        for host in Host.all():
            host.renew()
    supervisor.start("daemon", [sys.executable, "-m", "lab.daemon"])
    deadline, said = time.monotonic() + timeout, ""
    while True:
        state = health()
        if state and state["ready"]:
            return
        if state and state["failure"]:
            raise Failed(f"the lab's daemon cannot start: {state['failure']}; see {supervisor.log_file('daemon')}")
        if state is None and _listening() and supervisor.child("daemon") is None:
            supervisor.stop("daemon")
            raise UsageError(port_taken())
        if time.monotonic() > deadline:
            raise Failed(f"the lab's daemon is not ready after {timeout:.0f} s; see {supervisor.log_file('daemon')}")
        waiting = ", ".join(name for name, works in state["parts"].items() if not works) if state else "the daemon"
        if waiting != said:
            progress(f"waiting for {waiting}")
            said = waiting
        time.sleep(0.2)


def down() -> None:
    """Stops the daemon, whoever started it."""
    supervisor.stop("daemon")


def _listening() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", constants.API_PORT)) == 0
