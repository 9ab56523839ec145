"""Where every request to the lab's AWS arrives: its signature is checked, it is answered, and what changed is kept."""

from __future__ import annotations

import dataclasses
import io
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from lab import constants
from lab.cloud import api, replay, signature, wsgi
from lab.cloud.callers import ACCESS_KEY, secret
from lab.cloud.ec2 import ssm
from lab.cloud.endpoint import moto_patches
from lab.cloud.endpoint.journal import Entry, Journal
from lab.cloud.identity import public_objects, web_identity
from lab.cloud.signature import Refused, Signature

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: First words of the operations that change nothing, in the Query and JSON protocols.
READS = ("Describe", "Get", "List", "Head", "Search", "BatchGet", "BatchCheck", "Lookup", "Decode", "Simulate")

#: Answers that are kept for another attempt of the same call.
KEPT = 64
#: By which AWS's SDKs name a call (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
INVOCATION = "Amz-Sdk-Invocation-Id"

Attempted = tuple[str | None, str, str, str, bytes]

#: Hears of a request that may have changed something: its operation, its parameters, the status of the answer.
Observer = Callable[[str, Mapping[str, Sequence[str]], int], None]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """A request as it came: its parts, read once."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, environ: WSGIEnvironment) -> Request:
        """Reads it, body and all. The body can be read again."""
        body: bytes = environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else _body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        path, _, query = environ["RAW_URI"].partition("?")
        return cls(environ["REQUEST_METHOD"], path, query, _headers(environ), body)

    @property
    def form(self) -> dict[str, str]:
        """The parameters of a Query protocol request."""
        if not self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            return {}
        return {key: values[0] for key, values in parse_qs(self.body.decode("latin-1")).items()}

    @property
    def for_anyone(self) -> bool:
        """Whether it asks for an object that needs no rights."""
        bucket, _, key = unquote(self.path).removeprefix("/").partition("/")
        return self.method in {"GET", "HEAD"} and not self.query and public_objects.get(bucket, key) is not None


class Endpoint:
    """WSGI application. One a process, since moto's state is the process's; replays the journal while it is made."""

    def __init__(
        self,
        journal: Journal,
        *,
        services: Mapping[str, WSGIApplication] = MappingProxyType({}),
        observers: Mapping[str, Observer] = MappingProxyType({}),
        console: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`services` answer in place of moto, and `observers` hear of what may have changed: both by the service that a
        request is signed for. `console` returns what an instance has printed."""
        self.journal, self.services, self.observers = journal, services, observers
        self._answers: dict[Attempted, wsgi.Answer] = {}
        self.moto = DomainDispatcherApplication(create_backend_app)
        replay.set_clock()
        # What an account has from the start is made anew each time, from the same seed.
        mock_random.seed(constants.ACCOUNT)
        moto_patches.prepare(console)
        ssm.register()
        _register_user()
        self._replay()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request.read(environ)
        service = "s3"
        try:
            signed = signature.read(request.query, _lower(request.headers))
            service = signed.service if signed else "sts" if _by_token(request) else service
            _check(request, signed)
        except Refused as error:
            return wsgi.refuse(error, service, start_response, error.status)
        environ[ACCESS_KEY] = signed.access_key if signed else api.credentials().access_key
        if service in self.services:
            return self.services[service](environ, start_response)
        headers = _with_signer(request.headers, signed, service, environ[ACCESS_KEY])
        status, answered, chunks = self._recorded(replace(request, headers=headers), service)
        start_response(f"{status} moto", list(answered.items()))
        return chunks

    def _recorded(self, request: Request, service: str) -> wsgi.Answer:
        """Answers a request, keeps what it changed, and tells who observes its service."""
        with api.lock:
            sequence, seed = self.journal.sequence + 1, secrets.token_hex(16)
            entry = Entry(sequence=sequence, time=time.time(), seed=seed, **vars(request))
            kept = self._answers.get(_attempted(entry))
            answer = kept or self._answer(entry)
            if not kept and mutates(entry):
                self.journal.append(replace(moto_patches.lasting(entry), status=answer[0]))
                self._keep(entry, answer)
        if service in self.observers and mutates(entry):
            self.observers[service](_action(entry), parse_qs(entry.body.decode()), answer[0])
        return answer

    def _replay(self) -> None:
        """Answers every request of the journal again."""
        started = time.monotonic()
        for entry in self.journal.entries():
            answer = self._answer(entry, replaying=entry.status < HTTPStatus.BAD_REQUEST)
            self._keep(entry, answer)
            if answer[0] != entry.status:
                log.warning(
                    "replay of %s %s: %s, first time %s", entry.sequence, _action(entry), answer[0], entry.status
                )
        log.info("replayed %d requests in %.1f s", self.journal.sequence, time.monotonic() - started)

    def _keep(self, entry: Entry, answer: wsgi.Answer) -> None:
        """For who was cut off before the answer came, by an end of this process too, and asks again."""
        if INVOCATION in entry.headers and answer[0] < HTTPStatus.BAD_REQUEST:
            self._answers[_attempted(entry)] = answer
            for oldest in list(self._answers)[:-KEPT]:
                del self._answers[oldest]

    def _answer(self, entry: Entry, *, replaying: bool = False) -> wsgi.Answer:
        target = f"{entry.path}?{entry.query}" if entry.query else entry.path
        environ = wsgi.environ(entry.method, target, entry.headers, entry.body)
        mock_random.seed(entry.seed)
        with replay.at(entry.time, replaying=replaying):
            answer = wsgi.respond(lambda env, start: self.moto.get_application(env)(env, start), environ)
            moto_patches.correct(_action(entry), entry.body)
        return answer


def _by_token(request: Request) -> bool:
    """Returns whether a token stands for a signature."""
    return request.form.get("Action") == web_identity.OPERATION


def _check(request: Request, signed: Signature | None) -> None:
    """Raises Refused for a request that nobody may make, or not so."""
    if signed is not None:
        signature.verify(
            signed,
            secret(signed.access_key),
            method=request.method,
            path=request.path,
            query=request.query,
            headers=_lower(request.headers),
            body=request.body,
        )
        if signed.region != constants.REGION:
            raise Refused("OptInRequired", f"The lab has one region: {constants.REGION}, not {signed.region}.")
    elif not _by_token(request) and not request.for_anyone:
        raise Refused("MissingAuthenticationToken", "The request must be signed: use the keys of `twinplane lab env`.")
    if _by_token(request):
        web_identity.check(request.form.get("WebIdentityToken", ""), request.form.get("RoleArn", ""))


def _with_signer(headers: dict[str, str], signed: Signature | None, service: str, access_key: str) -> dict[str, str]:
    """Returns the headers, and in them who asks which service: moto reads neither of a presigned request from its
    query, nor the service of an unsigned one."""
    if "Authorization" in headers:
        return headers
    day = signed.time if signed else datetime.now(UTC)
    scope = f"{access_key}/{day:%Y%m%d}/{constants.REGION}/{service}/aws4_request"
    return headers | {
        "Authorization": f"{signature.ALGORITHM} Credential={scope}, SignedHeaders=host, Signature=checked"
    }


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def _attempted(entry: Entry) -> Attempted:
    """Returns what all attempts of one call have in common, and no other request."""
    return entry.headers.get(INVOCATION), entry.method, entry.path, entry.query, entry.body


def mutates(entry: Entry) -> bool:
    """Returns whether a request may change state, judged by its operation's name or, in REST protocols, its method."""
    action = _action(entry)
    return not action.startswith(READS) if action else entry.method not in {"GET", "HEAD", "OPTIONS"}


def _action(entry: Entry) -> str:
    """Returns the operation of a Query or JSON protocol request; nothing for REST."""
    target = entry.headers.get("X-Amz-Target", "")
    if target:
        return target.rpartition(".")[2]
    form = entry.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
    return parse_qs(entry.body.decode() if form and entry.body else entry.query).get("Action", [""])[0]


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
