"""A Kubernetes API in a thread, small and strict: discovery, apply with field managers, delete, watch."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Object = dict[str, Any]

KINDS = {
    "v1": [("ConfigMap", "configmaps", True), ("Secret", "secrets", True), ("Namespace", "namespaces", False)],
    "apps/v1": [("Deployment", "deployments", True)],
    "apiextensions.k8s.io/v1": [("CustomResourceDefinition", "customresourcedefinitions", False)],
    "example.test/v1": [("Thing", "things", True)],
}


class Api:
    """`objects`: path -> object. `refuse`: (method, path) -> the Status to answer with. `requests`: what was asked.

    `later`: path -> (seconds, parts): what a controller does to the object that long after it is applied.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.objects: dict[str, Object] = {}
        self.refuse: dict[tuple[str, str], Object] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.later: dict[str, tuple[float, Object]] = {}
        self.token = "let-me-in"
        self.version = 0

    def kubeconfig(self, **user: Any) -> str:
        """Text of a kubeconfig with a token, or with the given user."""
        return json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                "users": [{"name": "u", "user": user or {"token": self.token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "here"}}],
                "current-context": "x",
            }
        )

    def change(self, path: str, **parts: Any) -> None:
        """Somebody else's change."""
        self.version += 1
        live = {**self.objects[path], **parts}
        live["metadata"] = {**live["metadata"], "resourceVersion": str(self.version)}
        self.objects[path] = live

    def asked(self, method: str) -> list[str]:
        """The paths asked for with the method, without discovery."""
        return [path for verb, path, _ in self.requests if verb == method]

    def answer(self, method: str, path: str, query: dict[str, str], body: Object) -> tuple[int, Object]:
        if (method, path) in self.refuse:
            status = self.refuse[method, path]
            return status["code"], status
        if path == "/version":
            return 200, {"gitVersion": "v1.36.3"}
        group = path.removeprefix("/apis/").removeprefix("/api/")
        if group in KINDS:
            return 200, {"resources": [{"kind": k, "name": n, "namespaced": s} for k, n, s in KINDS[group]]}
        if method == "PATCH":
            return self.apply(path, query, body)
        if path not in self.objects:
            return 404, {"code": 404, "reason": "NotFound", "message": f"{path} not found"}
        if method == "DELETE":
            live = self.objects[path]
            if live["metadata"].get("finalizers"):
                self.change(path, metadata={**live["metadata"], "deletionTimestamp": "now"})
            else:
                del self.objects[path]
        return 200, self.objects.get(path, {})

    def apply(self, path: str, query: dict[str, str], body: Object) -> tuple[int, Object]:
        if "replicas" in (spec := body.get("spec") or {}) and spec["replicas"] < 0:
            return 422, {"code": 422, "message": f'"{body["metadata"]["name"]}" is invalid:\n spec.replicas: negative'}
        old = self.objects.get(path, {})
        manager = {"manager": query["fieldManager"], "operation": "Apply"}
        self.version += 1
        meta = {
            **old.get("metadata", {}),
            **body["metadata"],
            "uid": old.get("metadata", {}).get("uid") or f"uid-{self.version}",
            "resourceVersion": str(self.version),
            "generation": old.get("metadata", {}).get("generation", 0) + 1,
            "managedFields": [manager],
        }
        live = {**old, **body, "metadata": meta}
        if query.get("dryRun") != "All":
            self.objects[path] = live
            if path in self.later:
                delay, parts = self.later.pop(path)
                threading.Timer(delay, self.change, [path], parts).start()
        return 200, live


@contextmanager
def api_server() -> Iterator[Api]:
    """The API on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits for the receipt of its headers, 40 ms

        def handle_any(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            api.requests.append((self.command, url.path, query))
            if self.headers["Authorization"] != f"Bearer {api.token}":
                code, answer = 401, {"code": 401, "message": "Unauthorized"}
            elif "watch" in query:
                self.watch(query)
                return
            else:
                code, answer = api.answer(self.command, url.path, query, body)
            data = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def watch(self, query: dict[str, str]) -> None:
            """One empty event as soon as anything changes after the version asked for. Its seconds are tenths."""
            deadline = time.monotonic() + float(query["timeoutSeconds"]) / 10
            while api.version <= int(query["resourceVersion"]) and time.monotonic() < deadline:
                time.sleep(0.02)
            data = json.dumps({"type": "MODIFIED", "object": {}}).encode() + b"\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = Api(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
