"""Who calls a cluster: checks the tokens of `aws eks get-token` for its API server, as EKS does.

A token is a presigned GetCallerIdentity request. The API server of cluster NAME sends it in a TokenReview to
`https://<FABRIC>:8443/authenticate/NAME`; the request is replayed to STS, and the ARN that STS answers is looked up in
the cluster's access entries. The same way as https://github.com/kubernetes-sigs/aws-iam-authenticator.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import ssl
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import constants, whole_file
from lab.aws import api, signature, wsgi
from lab.aws.signature import Refused

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


def url(cluster: str) -> str:
    """-> where the API server of a cluster asks."""
    return f"https://{constants.FABRIC}:{constants.AUTHENTICATOR_PORT}/authenticate/{cluster}"


def authority() -> bytes:
    """-> the certificate, PEM, by which the API server knows the authenticator. The same until `lab down`."""
    pem = _certificate().read_bytes()
    return pem[pem.index(b"-----BEGIN CERTIFICATE-----") :]


def identify(token: str, cluster: str) -> str:
    """-> the ARN of the IAM user or role whose keys signed a token for a cluster. Raises Refused."""
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
        api.secret(signed.access_key),
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
    assert api.front is not None, "the daemon serves the API before the authenticator"
    status, _, chunks = wsgi.respond(api.front, wsgi.environ("GET", f"/?{query}", headers, b""))
    answer = ElementTree.fromstring(b"".join(chunks))
    if status != 200:
        raise Refused("InvalidToken", f"STS refuses the request in the token: {answer.findtext('.//{*}Message')}")
    arn = answer.findtext(".//{*}Arn") or ""
    role = re.fullmatch(r"arn:(aws[^:]*):sts::(\d+):assumed-role/([^/]+)/.*", arn)
    return f"arn:{role[1]}:iam::{role[2]}:role/{role[3]}" if role else arn


def review(body: bytes, cluster: str, access_entry: AccessEntry) -> dict[str, Any]:
    """Answers a TokenReview (authentication.k8s.io/v1). -> the same with its status. Raises ValueError for another."""
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


def serve(
    access_entry: AccessEntry, address: str = str(constants.FABRIC), port: int = constants.AUTHENTICATOR_PORT
) -> ThreadingHTTPServer:
    """Starts the webhook in a thread. -> the running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits for the receipt of its headers, 40 ms
        timeout = 60  # seconds of silence after which a connection is given up

        def log_message(self, format: str, *args: object) -> None:
            """Silent: the API server asks every few seconds."""

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            # The API server adds ?timeout=30s.
            prefix, _, cluster = self.path.partition("?")[0].rpartition("/")
            try:
                if prefix != "/authenticate":
                    raise ValueError(f"nothing is at {self.path}")
                status, answer = 200, json.dumps(review(content, cluster, access_entry)).encode()
            except (ValueError, KeyError, TypeError) as error:
                status, answer = 400, str(error).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
            """A client that ends a connection, or trusts another lab's certificate, is worth one line."""
            log.info("connection of %s: %s", client_address[0], sys.exception())

    server = Server((address, port), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(_certificate())
    # The handshake is each connection's own thread's: a silent client delays nobody.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, name="authenticator", daemon=True).start()
    return server


def _certificate() -> Path:
    """-> key and self-signed certificate in one file, made when first asked for."""
    path = api.directory() / "authenticator.pem"
    if path.exists():
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "twinplane token authenticator")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(str(constants.FABRIC)))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    whole_file.write(path, key.private_bytes(pem, *plain) + made.public_bytes(pem))
    return path
