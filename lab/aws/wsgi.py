"""Calling WSGI applications without a network, and refusing a request as each AWS service does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from lab.aws.signature import Refused

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def respond(app: WSGIApplication, environ: WSGIEnvironment) -> tuple[int, dict[str, str], list[bytes]]:
    """Calls a WSGI application. -> status, headers, body."""
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
    """Answers with an error in the words and the shape of a service. -> the body."""
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
