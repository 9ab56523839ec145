"""STS by a token: every part of it that AWS checks, and objects that anyone gets."""

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from components.identity.oidc_issuer import DISCOVERY, KEYS, discovery, key_set
from components.identity.oidc_trust import readable
from components.identity.pod_identity import oidc_trust
from lab.cloud import api, wsgi
from lab.cloud.endpoint.endpoint import Endpoint
from lab.cloud.endpoint.journal import Journal
from tests import aws_front
from twinplane.generate.signing_key import key_pair

PAIR = key_pair(2048)
BUCKET = "issuer"
URL = f"https://{BUCKET}.s3.us-east-1.amazonaws.com"
KID = json.loads(key_set(PAIR["public"]))["keys"][0]["kid"]


class Cloud:
    def __init__(self, front: Endpoint) -> None:
        self.front = front
        self.s3, self.iam = self.client("s3"), api.client("iam")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_bucket_policy(Bucket=BUCKET, Policy=readable(f"arn:aws:s3:::{BUCKET}"))
        self.s3.put_object(Bucket=BUCKET, Key=DISCOVERY, Body=discovery(URL).encode())
        self.s3.put_object(Bucket=BUCKET, Key=KEYS, Body=key_set(PAIR["public"]).encode())
        self.s3.put_object(Bucket=BUCKET, Key="other", Body=b"closed")
        self.provider = self.iam.create_open_id_connect_provider(Url=URL, ClientIDList=["sts.amazonaws.com"])[
            "OpenIDConnectProviderArn"
        ]
        self.role = self.trusting(oidc_trust(URL, self.provider, "kube-system", "driver"))

    def client(self, service: str, **config: Any) -> Any:
        keys = api.credentials()
        made: Any = boto3.session.Session().client(
            service,  # type: ignore[call-overload]
            endpoint_url="http://127.0.0.1:4515",
            region_name="us-east-1",
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )
        made.meta.events.register("before-send", api._inside)
        return made

    def trusting(self, trust: str) -> str:
        name = f"role-{len(self.iam.list_roles()['Roles'])}"
        return self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]

    def take(self, token: str, role: str = "") -> Any:
        return self.client("sts", signature_version=UNSIGNED).assume_role_with_web_identity(
            RoleArn=role or self.role, RoleSessionName="pod", WebIdentityToken=token
        )

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        status, _, chunks = wsgi.respond(self.front, wsgi.environ(method, path, {}, b""))
        return status, b"".join(chunks)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, aws_front.fresh(tmp_path_factory.mktemp("state"), patch) as front:
        yield Cloud(front)


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).decode().rstrip("=")


def token(private: str = PAIR["private"], header: dict[str, Any] | None = None, **changes: Any) -> str:
    claims = {
        "iss": URL,
        "aud": ["sts.amazonaws.com"],
        "sub": "system:serviceaccount:kube-system:driver",
        "nbf": time.time() - 1,
        "exp": time.time() + 600,
        **changes,
    }
    signed = f"{encoded({'alg': 'RS256', 'kid': KID, **(header or {})})}.{encoded(claims)}"
    key: Any = load_pem_private_key(private.encode(), None)
    return f"{signed}.{encoded(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def test_a_good_token_gives_the_role(cloud: Cloud) -> None:
    given = cloud.take(token())["Credentials"]
    sts = boto3.session.Session().client(
        "sts",
        endpoint_url="http://127.0.0.1:4515",
        region_name="us-east-1",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    sts.meta.events.register("before-send", api._inside)
    name = cloud.role.rpartition("/")[2]
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{name}/pod"


BAD: list[tuple[str, Callable[[], str], str]] = [
    ("no token", lambda: "abc.def", "InvalidIdentityToken.*not a valid JWT"),
    ("no octets", lambda: token().rpartition(".")[0] + ".x", "InvalidIdentityToken.*not a valid JWT"),
    ("another key", lambda: token(key_pair(2048)["private"]), "InvalidIdentityToken.*signature"),
    ("a key by another name", lambda: token(header={"kid": "x"}), "InvalidIdentityToken.*signature"),
    ("no signature asked for", lambda: token(header={"alg": "none"}), "InvalidIdentityToken.*signature"),
    ("a stranger's", lambda: token(iss="https://other.s3.us-east-1.amazonaws.com"), "No OpenIDConnect provider"),
    ("old", lambda: token(exp=time.time() - 1), "ExpiredTokenException"),
    ("early", lambda: token(nbf=time.time() + 60), "ExpiredTokenException"),
    ("for another", lambda: token(aud=["https://kubernetes.default.svc.cluster.local"]), "Incorrect token audience"),
    ("for two", lambda: token(aud=["sts.amazonaws.com", "b"]), "Incorrect token audience"),
    ("of another account", lambda: token(sub="system:serviceaccount:kube-system:other"), "AccessDenied"),
    ("of another namespace", lambda: token(sub="system:serviceaccount:default:driver"), "AccessDenied"),
]


@pytest.mark.parametrize(("make", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_token_gives_nothing(cloud: Cloud, make: Callable[[], str], reason: str) -> None:
    with pytest.raises(ClientError, match=reason):
        cloud.take(make())


def test_a_signature_besides_makes_no_token_good(cloud: Cloud) -> None:
    form = {"Action": "AssumeRoleWithWebIdentity", "RoleArn": cloud.role, "WebIdentityToken": token(exp=1)}
    request = AWSRequest("POST", "http://127.0.0.1:4515/", data={**form, "RoleSessionName": "pod"})
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    keys = api.credentials()
    SigV4Auth(Credentials(keys.access_key, keys.secret_key), "sts", "us-east-1").add_auth(request)
    sent = request.prepare()
    environ = wsgi.environ("POST", "/", {**dict(sent.headers), "Host": "127.0.0.1:4515"}, str(sent.body).encode())
    status, _, chunks = wsgi.respond(cloud.front, environ)
    assert (status, b"ExpiredTokenException" in b"".join(chunks)) == (400, True)


def test_a_changed_claim_breaks_the_signature(cloud: Cloud) -> None:
    head, body, signature = token(sub="system:serviceaccount:a:b").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    changed = encoded({**claims, "sub": "system:serviceaccount:kube-system:driver"})
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        cloud.take(f"{head}.{changed}.{signature}")


def test_a_role_trusts_whom_its_policy_names(cloud: Cloud) -> None:
    trust = json.loads(oidc_trust(URL, cloud.provider, "a", "b"))
    [statement] = trust["Statement"]
    host = URL.removeprefix("https://")

    def taken(*statements: dict[str, Any]) -> bool:
        role = cloud.trusting(json.dumps({**trust, "Statement": list(statements)}))
        with contextlib.suppress(ClientError):
            return bool(cloud.take(token(sub="system:serviceaccount:a:b"), role))
        return False

    like = {"StringLike": {f"{host}:sub": "system:serviceaccount:a:*"}}
    assert taken(statement)
    assert taken({**statement, "Condition": like})
    assert not taken({**statement, "Condition": {"StringLike": {f"{host}:sub": "system:serviceaccount:b:*"}}})
    assert not taken({**statement, "Condition": {"StringNotEquals": {f"{host}:sub": "x"}}}), "unknown here: met by none"
    assert not taken({**statement, "Principal": {"Federated": cloud.provider + "x"}})
    assert not taken({**statement, "Action": "sts:AssumeRole"})
    assert not taken(statement, {**statement, "Effect": "Deny", "Condition": like})
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.take(token(), "arn:aws:iam::123456789012:role/unknown")


def test_an_issuer_whose_documents_are_closed_is_believed_by_nobody(cloud: Cloud) -> None:
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    cloud.s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)
    try:
        with pytest.raises(ClientError, match="Couldn't retrieve verification key"):
            cloud.take(token())
    finally:
        cloud.s3.delete_public_access_block(Bucket=BUCKET)
    assert cloud.take(token())


def test_anyone_gets_what_a_policy_gives_anyone(cloud: Cloud) -> None:
    assert cloud.get(f"/{BUCKET}/{KEYS}") == (200, key_set(PAIR["public"]).encode())
    for path in ("other", "", f"{KEYS}?acl", "missing"):
        assert cloud.get(f"/{BUCKET}/{path}")[0] == 403, path
    assert cloud.get(f"/{BUCKET}/{KEYS}", "DELETE")[0] == 403
    assert cloud.get("/nothing/at-all")[0] == 403


def test_tokens_are_not_kept(cloud: Cloud) -> None:
    shown = token()
    cloud.take(shown)
    [journal] = api.directory().glob("journal.jsonl")
    kept = [entry for entry in Journal(Path(journal)).entries() if b"AssumeRoleWithWebIdentity" in entry.body]
    assert kept
    assert all(shown.encode() not in entry.body for entry in kept)
