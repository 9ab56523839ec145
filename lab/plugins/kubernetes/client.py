"""The Kubernetes API as plain JSON: discovery per group and version, server-side apply, watch."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import urllib3

from lab.plugins.kubernetes.kubeconfig import Connection, NoCredential, Unreachable
from lab.plugins.provider import Provider

# A kubeconfig that says insecure-skip-tls-verify has said it; kubectl does not warn either.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

Object = dict[str, Any]
T = TypeVar("T")

_CONNECT = 5.0
#: Longer than the API server's own limit for a request (60 s).
_READ = 65.0
#: How long a call may be refused for reasons that pass: the server restarts, a webhook or CRD is not there yet.
_SETTLE = 30.0


class ApiError(Exception):
    """The API server's refusal: a Status object as one line."""

    def __init__(self, status: Object):
        self.code: int = status.get("code", 0)
        self.reason: str = status.get("reason", "")
        self.message = " ".join(str(status.get("message") or self.reason or f"HTTP {self.code}").split())
        super().__init__(self.message)

    @property
    def invalid(self) -> bool:
        """Whether the object itself is at fault (a field that does not exist is answered with code 500)."""
        return self.code in (400, 409, 422) or "failed to create typed patch object" in self.message

    @property
    def passing(self) -> bool:
        """Whether trying again soon makes sense."""
        text = self.message
        return (
            self.code in (429, 503, 504)
            or (self.code == 500 and ("failed calling webhook" in text or "leader" in text or "timed out" in text))
            or (self.code == 404 and text.startswith('namespaces "'))
        )


class NoKind(Exception):
    """The API server does not serve this apiVersion and kind."""


@dataclass(frozen=True)
class Resource:
    """Where objects of one kind live."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of the collection, or of one object."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{quote(namespace or 'default')}" if self.namespaced else ""
        return f"{root}{scope}/{self.plural}" + (f"/{quote(name)}" if name else "")


class Client:
    """One API server. Safe to use from many threads."""

    def __init__(self, connection: Connection):
        self.connection = connection
        # One connection for each call that the engine can make at once: urllib3 would warn of more on the display.
        options: dict[str, Any] = {"maxsize": Provider.threads, "retries": False}
        options["timeout"] = urllib3.Timeout(_CONNECT, _READ)
        if connection.tls:
            options |= {"ssl_context": connection.tls}
            if connection.server_name:
                options |= {"server_hostname": connection.server_name, "assert_hostname": connection.server_name}
        self._pool = urllib3.connection_from_url(connection.server, **options)
        self._prefix = urllib3.util.parse_url(connection.server).path or ""
        self._discovered: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        stream: bool = False,
        query: dict[str, str] | None = None,
    ) -> Any:
        """The parsed answer, or the raw response if `stream`. Raises ApiError, Unreachable."""
        url = self._prefix + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        for renew in (False, True):
            headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": "pulumi-kubernetes"}
            headers |= self.connection.headers(renew=renew)
            try:
                response = self._pool.urlopen(method, url, data, headers, preload_content=not stream)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Unreachable(f"{self.connection.server}: {_reason(error)}") from None
            if response.status == 401 and not renew and "Authorization" in headers:
                continue
            break
        if response.status >= 400:
            raise ApiError(_status(response.status, response.data))
        return response if stream else json.loads(response.data)

    def resource(self, api_version: str, kind: str) -> Resource:
        """Raises NoKind. A group and version is asked for once, and again when a kind is missing from it."""
        with self._lock:
            found = self._discovered.get(api_version, {}).get(kind)
            if found is None:
                found = self._discover(api_version).get(kind)
        if found is None:
            raise NoKind(f"the API server has no {kind} in {api_version}; is its CustomResourceDefinition installed?")
        return found

    def _discover(self, api_version: str) -> dict[str, Resource]:
        root = "/apis/" if "/" in api_version else "/api/"
        try:
            listed = self.request("GET", root + api_version)
        except ApiError as error:
            if error.code == 404:
                return {}
            raise
        self._discovered[api_version] = {
            entry["kind"]: Resource(api_version, entry["kind"], entry["name"], entry["namespaced"])
            for entry in listed["resources"]
            if "/" not in entry["name"]
        }
        return self._discovered[api_version]

    def locate(self, obj: Object) -> str:
        """The path of an object that has apiVersion, kind and metadata."""
        meta = obj["metadata"]
        return self.resource(obj["apiVersion"], obj["kind"]).path(meta.get("namespace"), meta["name"])

    def get(self, path: str) -> Object | None:
        """The object, or None."""
        try:
            return dict(self.request("GET", path))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def apply(self, obj: Object, *, manager: str, force: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply. Fields that the server does not know are errors."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        query |= {"force": "true"} if force else {}
        query |= {"dryRun": "All"} if dry_run else {}
        path = self.locate(obj)
        return dict(self.request("PATCH", path, obj, content_type="application/apply-patch+yaml", query=query))

    def watch(self, path: str, seconds: float, query: dict[str, str]) -> Iterator[Object]:
        """Events of a collection until the time is up or the server ends it."""
        limit = str(max(1, int(seconds)))
        response = self.request("GET", path, stream=True, query={**query, "watch": "1", "timeoutSeconds": limit})
        try:
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"])
                yield event
        except (urllib3.exceptions.HTTPError, ValueError):
            return  # A cut stream is the end of this watch; the caller reads again.
        finally:
            response.close()


def settle(call: Callable[[], T], stopped: Callable[[], bool], seconds: float = _SETTLE) -> T:
    """The call's result, tried again while its failure is one that passes."""
    deadline, pause = time.monotonic() + seconds, 0.25
    while True:
        try:
            return call()
        except (ApiError, NoKind, Unreachable) as error:
            passing = error.passing if isinstance(error, ApiError) else not isinstance(error, NoCredential)
            if not passing or stopped() or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 4.0)


def _status(code: int, data: bytes) -> Object:
    try:
        status = json.loads(data)
        return {**status, "code": code} if isinstance(status, dict) else {"code": code, "message": str(status)}
    except ValueError:
        return {"code": code, "message": data.decode(errors="replace")[:300]}


def _reason(error: Exception) -> str:
    """The innermost cause, without urllib3's object addresses."""
    inner = getattr(error, "reason", None) or error.__cause__ or error
    return str(inner).split(">: ")[-1].split("): ")[-1] or type(inner).__name__
