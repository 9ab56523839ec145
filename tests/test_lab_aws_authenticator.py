"""Tokens of the real `aws eks get-token`, and forged ones."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab import constants
from lab.cloud import api
from lab.cloud.identity import authenticator
from tests.aws_front import fresh

ADMIN = "arn:aws:iam::123456789012:user/twinplane"


@pytest.fixture(autouse=True)
def _front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with fresh(tmp_path / "state", monkeypatch):
        yield


def entries(cluster: str, arn: str) -> tuple[str, tuple[str, ...]] | None:
    return {("prod", ADMIN): ("admin", ("system:masters",))}.get((cluster, arn))


def presign(
    cluster: str = "prod",
    *,
    url: str = constants.API_URL + "/",
    keys: Credentials | None = None,
    expires: int = 60,
    header: str = "x-k8s-aws-id",
    service: str = "sts",
    **parameters: str,
) -> str:
    mine = api.credentials()
    query = {"Action": "GetCallerIdentity", "Version": "2011-06-15"} | parameters
    request = AWSRequest("GET", f"{url}?{urlencode(query)}", headers={header: cluster})
    SigV4QueryAuth(
        keys or Credentials(mine.access_key, mine.secret_key), service, "us-east-1", expires=expires
    ).add_auth(request)
    return authenticator.PREFIX + base64.urlsafe_b64encode(str(request.url).encode()).decode().rstrip("=")


def review(token: str, cluster: str = "prod") -> dict[str, Any]:
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = authenticator.review(json.dumps(asked).encode(), cluster, entries)
    assert (answer["apiVersion"], answer["kind"]) == (asked["apiVersion"], asked["kind"])
    return dict(answer["status"])


def get_token(cluster: str, *more: str) -> str:
    keys = api.credentials()
    done = subprocess.run(
        [Path(sys.executable).parent / "aws", "eks", "get-token", "--cluster-name", cluster, *more],
        env={
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": constants.API_URL,
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_DEFAULT_REGION": constants.REGION,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout)["status"]["token"])


def test_knows_the_holder_of_a_token_of_the_aws_command() -> None:
    token = get_token("prod")
    assert review(token) == {
        "authenticated": True,
        "user": {
            "username": "admin",
            "uid": f"aws-iam-authenticator:123456789012:{ADMIN}",
            "groups": ["system:masters"],
            "extra": {"arn": [ADMIN]},
        },
    }
    assert review(token, "test")["authenticated"] is False, "a token is good for its cluster alone"


def test_knows_a_role_by_the_arn_of_the_role() -> None:
    role = api.client("iam").create_role(RoleName="operator", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    made = api.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    keys = Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    assert authenticator.identify(presign(keys=keys), "prod") == role
    assert review(presign(keys=keys)) == {
        "authenticated": False,
        "error": f"{role} has no access entry in cluster prod",
    }


def test_accepts_the_form_of_the_official_clients() -> None:
    assert review(presign())["authenticated"] is True
    assert review(presign(url=constants.FABRIC_API_URL + "/"))["authenticated"] is True, "signed on a machine"


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (lambda: "abc", "not a token of the form"),
        (lambda: authenticator.PREFIX + "%%%", "not a presigned request"),
        (lambda: authenticator.PREFIX + "A" * 5000, "not a token of the form"),
        (lambda: presign(url="http://127.0.0.1:9/"), "not to STS"),
        (lambda: presign(url=constants.API_URL + "/clusters"), "not to STS"),
        (lambda: presign(Action="GetSessionToken"), "not GetCallerIdentity"),
        (lambda: presign(RoleArn="x"), "do not belong there"),
        (lambda: presign(header="x-other"), "headers host and x-k8s-aws-id"),
        (lambda: presign(service="ec2"), "signed for sts"),
        (lambda: presign(cluster="test"), "does not match"),
        (lambda: presign(keys=Credentials(api.credentials().access_key, "wrong")), "does not match"),
        (lambda: presign(keys=Credentials("AKIAUNKNOWN", "wrong")), "security token .* is invalid"),
    ],
)
def test_refuses(token: Any, why: str) -> None:
    status = review(token())
    assert status["authenticated"] is False
    assert "user" not in status
    assert re.search(why, status["error"])


@pytest.mark.parametrize(
    ("expires", "minutes", "good"), [(60, 0, True), (60, 2, False), (604800, 14, True), (604800, 16, False)]
)
def test_a_token_expires(monkeypatch: pytest.MonkeyPatch, expires: int, minutes: int, good: bool) -> None:
    signed = datetime.now(UTC) - timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: signed.replace(tzinfo=None))
    assert review(presign(expires=expires))["authenticated"] is good
