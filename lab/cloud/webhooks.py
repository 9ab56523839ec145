"""What the API servers of clusters ask the lab over TLS: `https://<FABRIC>:8443/<what>/<cluster>`.

They know the lab by one self-signed certificate, which lasts until `lab down`.
"""

from __future__ import annotations

import json
import logging
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import constants, whole_file
from lab.cloud import api

#: Body of a request and name of the cluster that asks -> the answer. Raises ValueError for what it cannot read.
Review = Callable[[bytes, str], Mapping[str, Any]]

log = logging.getLogger(__name__)


def url(what: str, cluster: str) -> str:
    """Returns where the API server of a cluster asks."""
    return f"https://{constants.FABRIC}:{constants.WEBHOOKS_PORT}/{what}/{cluster}"


def authority() -> bytes:
    """Returns the certificate, PEM, by which the API servers know the lab."""
    pem = _certificate().read_bytes()
    return pem[pem.index(b"-----BEGIN CERTIFICATE-----") :]


def serve(
    reviews: Mapping[str, Review], address: str = str(constants.FABRIC), port: int = constants.WEBHOOKS_PORT
) -> ThreadingHTTPServer:
    """Starts the webhooks in a thread. Returns the running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits for the receipt of its headers, 40 ms
        timeout = 60  # seconds of silence after which a connection is given up

        def log_message(self, format: str, *args: object) -> None:
            """Silent: the API servers ask every few seconds."""

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            # The API server adds ?timeout=30s.
            what, _, cluster = self.path.partition("?")[0].removeprefix("/").partition("/")
            try:
                if what not in reviews:
                    raise ValueError(f"nothing is at {self.path}")
                status, answer = 200, json.dumps(reviews[what](content, cluster)).encode()
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
    threading.Thread(target=server.serve_forever, name="webhooks", daemon=True).start()
    return server


def _certificate() -> Path:
    """Returns key and self-signed certificate in one file, made when first asked for."""
    path = api.directory() / "webhooks.pem"
    if path.exists():
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "twinplane webhooks")])
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
