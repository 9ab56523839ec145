"""One call of AWS's API, with the credentials of an environment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from twinplane.errors import UsageError

#: Seconds for a connection, and for an answer.
TIMEOUT = 10.0
#: Where nothing names a region.
REGION = "us-east-1"
#: What tells one identity from another: keys, else a profile and the files that it is in.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")

#: Neither boto3 sessions nor the Kubernetes client's files of certificates can be made in two threads at once.
making_clients = threading.Lock()


class Unanswered(Exception):
    """No answer: why, in one line. `code` is AWS' own, where AWS gave one."""

    def __init__(self, line: str, code: str = "") -> None:
        super().__init__(line)
        self.code = code


class Unreached(Unanswered):
    """Nobody was there to ask."""


def call(
    environment: Mapping[str, str], region: str | None, service: str, operation: str, **parameters: Any
) -> dict[str, Any]:
    """Returns the answer, all pages of it. Raises Unanswered."""
    try:
        made = client(environment, region, service)
        if not made.can_paginate(operation):
            return dict(getattr(made, operation)(**parameters))
        return dict(made.get_paginator(operation).paginate(**parameters).build_full_result())
    except ClientError as error:
        code, words = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if words.lstrip().startswith("<"):  # a web page: of an endpoint that has no such call
            words = f"no such call as {service}:{operation}"
        raise Unanswered(f"{code}: {' '.join(words.split()) or 'no words'}", code) from None
    except ResponseParserError:  # of an endpoint that is not AWS's own
        raise Unanswered(f"{service}:{operation}: an answer that is not AWS's") from None
    except (ConnectionError, HTTPClientError) as error:
        raise Unreached(_line(error)) from None
    except BotoCoreError as error:
        raise Unanswered(_line(error)) from None


def client(environment: Mapping[str, str], region: str | None, service: str) -> Any:
    """Returns boto3's client of a service, with the credentials and the endpoint that an environment names."""
    with making_clients:
        session = _session(*(environment.get(name) for name in (*KEYS, *FILES)))
        return session.client(
            service,  # type: ignore[call-overload]
            region_name=region or environment.get("AWS_REGION") or session.region_name or REGION,
            endpoint_url=environment.get("AWS_ENDPOINT_URL"),
            config=Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2}),
        )


@cache
def _session(
    key: str | None, secret: str | None, token: str | None, profile: str | None, *_files: str | None
) -> boto3.Session:
    """One for each identity: what it has read of AWS's services, it reads once."""
    return boto3.Session(
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token or None,
        profile_name=None if key is not None else profile,
    )


def caller(environment: Mapping[str, str], region: str | None = None) -> str:
    """Returns the ARN of the environment's credentials. Raises UsageError, of one line, where AWS takes none, and
    Unreached."""
    try:
        return str(call(environment, region, "sts", "get_caller_identity")["Arn"])
    except Unreached:
        raise
    except Unanswered as error:
        raise UsageError(
            f"AWS takes no credentials from here: {str(error).rstrip('.')}; "
            "`aws sts get-caller-identity` must answer: log in again, or set AWS_PROFILE"
        ) from None


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
