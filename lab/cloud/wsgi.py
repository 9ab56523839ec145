"""Calling WSGI applications without a network, and refusing a request as each AWS service does."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from lab import constants
from lab.cloud.signature import Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Status, headers, body.
Answer = tuple[int, dict[str, str], list[bytes]]


def environ(method: str, target: str, headers: dict[str, str], body: bytes) -> WSGIEnvironment:
    """Returns what an application is called with. `target` is path and query as sent, still encoded."""
    path, _, query = target.partition("?")
    made: WSGIEnvironment = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "RAW_URI": target,
        "REQUEST_URI": target,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(constants.API_PORT),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "",
        "HTTP_HOST": f"127.0.0.1:{constants.API_PORT}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            made[key] = value
        elif key not in {"CONTENT_LENGTH", "TRANSFER_ENCODING"}:
            made[f"HTTP_{key}"] = value
    return made


def respond(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Calls a WSGI application."""
    got: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        got[:] = [int(status[:3]), dict(headers)]
        return lambda _: None

    chunks = app(environ, start)
    try:
        body = list(chunks)
    finally:
        getattr(chunks, "close", lambda: None)()
    return got[0], got[1], body


def refuse(error: Refused, service: str, start_response: StartResponse, status: str = "403 Forbidden") -> list[bytes]:
    """Answers with an error in the words and the shape of a service. Returns the body."""
    kind, code, message = "text/xml", error.code, str(error)
    told = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        text = f"<Response><Errors><Error>{told}</Error></Errors></Response>"
    elif service in {"iam", "sts", "elasticloadbalancing", "autoscaling"}:
        text = f"<ErrorResponse><Error><Type>Sender</Type>{told}</Error></ErrorResponse>"
    elif service == "s3":
        text = f"<Error>{told}</Error>"
    else:
        kind, text = "application/json", json.dumps({"__type": code, "code": code, "message": message})
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-ErrorType", code)])
    return [body]
