"""One call of AWS's API, with the credentials of an environment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from twinplane.errors import UsageError
from twinplane.live.unanswered import Unanswered, Unreached, first_line

#: Seconds for a connection, and for an answer.
TIMEOUT = 10.0
#: Where nothing names a region.
REGION = "us-east-1"

#: Neither boto3 sessions nor the Kubernetes client's files of certificates can be made in two threads at once.
making_clients = threading.Lock()


def call(
    environment: Mapping[str, str], region: str | None, service: str, operation: str, **parameters: Any
) -> dict[str, Any]:
    """Returns the answer, all pages of it. Raises Unanswered."""
    try:
        client = _client(environment, region, service)
        if not client.can_paginate(operation):
            return dict(getattr(client, operation)(**parameters))
        return dict(client.get_paginator(operation).paginate(**parameters).build_full_result())
    except ClientError as error:
        code, words = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if words.lstrip().startswith("<"):  # a web page: of an endpoint that has no such call
            words = f"no such call as {service}:{operation}"
        raise Unanswered(f"{code}: {' '.join(words.split()) or 'no words'}", code) from None
    except ResponseParserError:  # of an endpoint that is not AWS's own
        raise Unanswered(f"{service}:{operation}: an answer that is not AWS's") from None
    except (ConnectionError, HTTPClientError) as error:
        raise Unreached(first_line(error)) from None
    except BotoCoreError as error:
        raise Unanswered(first_line(error)) from None


def aws_session(environment: Mapping[str, str], region: str | None = None) -> boto3.Session:
    """The credentials that an environment names."""
    return boto3.Session(
        aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=environment.get("AWS_SESSION_TOKEN") or None,
        profile_name=None if "AWS_ACCESS_KEY_ID" in environment else environment.get("AWS_PROFILE"),
        region_name=region,
    )


def _client(environment: Mapping[str, str], region: str | None, service: str) -> Any:
    with making_clients:
        session = aws_session(environment)
        return session.client(
            service,  # type: ignore[call-overload]
            region_name=region or environment.get("AWS_REGION") or session.region_name or REGION,
            endpoint_url=environment.get("AWS_ENDPOINT_URL"),
            config=Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2}),
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
