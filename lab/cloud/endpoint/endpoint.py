"""Where every request to the lab's AWS arrives: its signature is checked, it is answered, and what changed is kept."""

from __future__ import annotations

import dataclasses
import io
import logging
import secrets
import sys
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

import moto.core.utils
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from lab import constants
from lab.cloud import moto_patches
from lab.cloud.ec2 import ec2, ssm
from lab.cloud.elb import load_balancers
from lab.cloud.endpoint import api, signature, wsgi
from lab.cloud.endpoint.journal import Entry, Journal
from lab.cloud.endpoint.signature import Refused
from lab.cloud.identity import public_objects, web_identity

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: First words of the operations that change nothing, in the Query and JSON protocols.
READS = ("Describe", "Get", "List", "Head", "Search", "BatchGet", "BatchCheck", "Lookup", "Decode", "Simulate")

#: Answers that are kept for another attempt of the same call.
KEPT = 64
#: By which AWS's SDKs name a call (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
INVOCATION = "Amz-Sdk-Invocation-Id"

Attempted = tuple[str | None, str, str, str, bytes]

_utcnow = moto.core.utils.utcnow

log = logging.getLogger(__name__)


class Endpoint:
    """WSGI application. One a process, since moto's state is the process's; replays the journal while it is made."""

    #: When the request came that is answered now; moto has one clock.
    _time: float | None = None

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._answers: dict[Attempted, wsgi.Answer] = {}
        self.moto = DomainDispatcherApplication(create_backend_app)
        _set_clock()
        # What an account has from the start is made anew each time, from the same seed.
        mock_random.seed(constants.ACCOUNT)
        moto_patches.prepare()
        ssm.register()
        _register_user()
        started = time.monotonic()
        for entry in journal.entries():
            status = self._replayed(entry)
            if status != entry.status:
                log.warning("replay of %s %s: %s, first time %s", entry.sequence, _action(entry), status, entry.status)
        log.info("replayed %d requests in %.1f s", journal.sequence, time.monotonic() - started)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body: bytes = environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else _body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        path, _, query = environ["RAW_URI"].partition("?")
        headers = _headers(environ)
        service = "s3"
        try:
            signed = signature.read(query, {key.lower(): value for key, value in headers.items()})
            form = _form(headers, body)
            by_token = form.get("Action") == web_identity.OPERATION
            if signed is not None:
                service = signed.service
                signature.verify(
                    signed,
                    api.secret(signed.access_key),
                    method=environ["REQUEST_METHOD"],
                    path=path,
                    query=query,
                    headers={key.lower(): value for key, value in headers.items()},
                    body=body,
                )
                if signed.region != constants.REGION:
                    raise Refused("OptInRequired", f"The lab has one region: {constants.REGION}, not {signed.region}.")
            elif by_token:
                service = "sts"
            elif not _for_anyone(environ["REQUEST_METHOD"], path, query):
                raise Refused(
                    "MissingAuthenticationToken", "The request must be signed: use the keys of `twinplane lab env`."
                )
            if by_token:
                web_identity.check(form.get("WebIdentityToken", ""), form.get("RoleArn", ""))
        except Refused as error:
            return wsgi.refuse(error, service, start_response, error.status)
        access_key = environ["twinplane.access_key"] = signed.access_key if signed else api.credentials().access_key
        if service in {"eks", "eks-auth"}:
            from lab.cloud import eks

            return list(eks.app(environ, start_response))
        if "Authorization" not in headers:
            # moto reads the caller of a presigned request from the header only, and the service of an unsigned one.
            day = signed.time if signed else datetime.now(UTC)
            scope = f"{access_key}/{day:%Y%m%d}/{constants.REGION}/{service}/aws4_request"
            headers["Authorization"] = (
                f"{signature.ALGORITHM} Credential={scope}, SignedHeaders=host, Signature=checked"
            )
        with api.lock:
            entry = Entry(
                sequence=self.journal.sequence + 1,
                time=time.time(),
                seed=secrets.token_hex(16),
                method=environ["REQUEST_METHOD"],
                path=path,
                query=query,
                headers=headers,
                body=body,
            )
            kept = self._answers.get(_attempted(entry))
            status, answered, chunks = answer = kept or self._answer(entry)
            if not kept and mutates(entry):
                self.journal.append(dataclasses.replace(moto_patches.lasting(entry), status=status))
                self._keep(entry, answer)
        if service == "ec2":
            ec2.noticed(_action(entry), parse_qs(body.decode()), status)
        if service == "elasticloadbalancing" and mutates(entry):
            load_balancers.changed.set()
        start_response(f"{status} moto", list(answered.items()))
        return chunks

    def _replayed(self, entry: Entry) -> int:
        """-> the status this time."""
        if entry.status < HTTPStatus.BAD_REQUEST:
            ec2.replaying.set()
        try:
            answer = self._answer(entry)
        finally:
            ec2.replaying.clear()
        self._keep(entry, answer)
        return answer[0]

    def _keep(self, entry: Entry, answer: wsgi.Answer) -> None:
        """For who was cut off before the answer came, by an end of this process too, and asks again."""
        if INVOCATION in entry.headers and answer[0] < HTTPStatus.BAD_REQUEST:
            self._answers[_attempted(entry)] = answer
            for oldest in list(self._answers)[:-KEPT]:
                del self._answers[oldest]

    def _answer(self, entry: Entry) -> wsgi.Answer:
        target = f"{entry.path}?{entry.query}" if entry.query else entry.path
        environ = wsgi.environ(entry.method, target, entry.headers, entry.body)
        mock_random.seed(entry.seed)
        Endpoint._time = entry.time
        answer = wsgi.respond(lambda env, start: self.moto.get_application(env)(env, start), environ)
        Endpoint._time = None
        moto_patches.correct(_action(entry), entry.body)
        return answer


def _attempted(entry: Entry) -> Attempted:
    """-> what all attempts of one call have in common, and no other request."""
    return entry.headers.get(INVOCATION), entry.method, entry.path, entry.query, entry.body


def mutates(entry: Entry) -> bool:
    """-> whether a request may change state, judged by its operation's name or, in REST protocols, its method."""
    action = _action(entry)
    return not action.startswith(READS) if action else entry.method not in {"GET", "HEAD", "OPTIONS"}


def _action(entry: Entry) -> str:
    """-> the operation of a Query or JSON protocol request; nothing for REST."""
    target = entry.headers.get("X-Amz-Target", "")
    if target:
        return target.rpartition(".")[2]
    form = entry.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
    return parse_qs(entry.body.decode() if form and entry.body else entry.query).get("Action", [""])[0]


def _form(headers: dict[str, str], body: bytes) -> dict[str, str]:
    """-> the parameters of a Query protocol request."""
    if not headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        return {}
    return {key: values[0] for key, values in parse_qs(body.decode("latin-1")).items()}


def _for_anyone(method: str, path: str, query: str) -> bool:
    """-> whether a request is for an object that needs no rights."""
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    return method in {"GET", "HEAD"} and not query and public_objects.get(bucket, key) is not None


def _set_clock() -> None:
    """A request happens at the time of its entry, also when it is replayed."""
    # moto's only: a look at others would load what they load lazily, such as all of pulumi_aws in a test.
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and getattr(module, "utcnow", None) is _utcnow:
            module.utcnow = _at  # type: ignore[attr-defined]


def _at() -> datetime:
    return _utcnow() if Endpoint._time is None else datetime.fromtimestamp(Endpoint._time, UTC).replace(tzinfo=None)


def _body(environ: WSGIEnvironment) -> bytes:
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").title(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    if environ.get("CONTENT_LENGTH"):
        headers["Content-Length"] = environ["CONTENT_LENGTH"]
    return headers


def _register_user() -> None:
    """The lab's credentials belong to a real IAM user, so that callers have a name."""
    backend = iam_backends[constants.ACCOUNT]["aws"]
    backend.create_user(constants.REGION, api.USER)
    key = backend.create_access_key(api.USER)
    del backend.access_keys[key.access_key_id]
    key.access_key_id, key.secret_access_key = dataclasses.astuple(api.credentials())
    backend.access_keys[key.access_key_id] = key
