"""The lab's AWS endpoint, and how the lab itself calls it.

A request is journaled and answered by moto under one lock, so that a replay meets the same state in the same order.
Requests signed for `eks` go to the lab's own `lab.aws.eks.app`, which keeps its own state.

How `lab.aws.eks` is mounted, all three being attributes of that package:
- `app(environ, start_response)`: WSGI. It authorises with `caller(environ)`.
- `start()`: called once after the replay, when EC2 answers again; starts the background work and returns.
- `access_entry(cluster, arn) -> (username, groups) | None`: asked by the token authenticator.
And it adds to `lab.aws.ec2.bootstraps` what its nodes need.
"""
from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

#: Held while moto works. Never call a host while holding it.
lock = threading.RLock()


@dataclass(frozen=True)
class Credentials:
    """The lab's one administrator, an IAM user."""

    access_key: str
    secret_key: str


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
    raise NotImplementedError


def caller(environ: dict[str, Any]) -> str:
    """-> the ARN of the signer of a request, such as `arn:aws:iam::123456789012:user/twinplane`."""
    raise NotImplementedError
