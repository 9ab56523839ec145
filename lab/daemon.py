"""The lab's one server process: the AWS endpoint, what makes it real, the mirror and the webhooks of API servers.

`python -m lab.daemon` runs in the foreground until SIGTERM. It can be killed at any point: hosts live on without it,
and the next one goes on from what is on disk. `GET /lab/health` tells how far it has come.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from lab import constants, daemon_control
from lab.cloud import wsgi
from lab.cloud.signature import Refused
from lab.errors import UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from lab.cloud.cloud import Cloud

#: Seconds for which a request waits for the replay; less than SDKs wait for an answer.
PATIENCE = 50.0
#: Seconds for which a daemon that cannot start tells why, before its supervisor tries again.
EXPLAIN = 10.0

log = logging.getLogger(__name__)


class Handler(WSGIRequestHandler):
    """Silent: a client that waits asks every second."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Writes nothing."""


class Daemon:
    """WSGI application. It listens from the first moment, and answers when the replay is over."""

    def __init__(self) -> None:
        self.parts = dict.fromkeys(("api", "eks", "reconciler", "balancers", "webhooks", "metadata", "mirror"), False)
        self.failure = ""
        self._code = daemon_control.code()
        self._replayed = threading.Event()
        self._stops: list[Any] = []
        self._cloud: Cloud

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/lab/health":
            body = json.dumps(self.health()).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        if not self._replayed.wait(PATIENCE):
            # SDKs come again by themselves after a 503.
            error = Refused("ServiceUnavailable", "The lab's API is starting.")
            return wsgi.refuse(error, "ec2", start_response, "503 Service Unavailable")
        return self._cloud.endpoint(environ, start_response)

    def health(self) -> dict[str, Any]:
        """Returns ready, pid, the parts that work, why one does not, and which code this is."""
        return {
            "ready": all(self.parts.values()),
            "pid": os.getpid(),
            "parts": self.parts,
            "failure": self.failure,
            "code": self._code,
        }

    def bring_up(self) -> None:
        """Starts the parts in the order in which they need each other. Ends the process when one cannot start."""
        mirror = threading.Thread(target=self._start, args=("mirror",), name="mirror", daemon=True)
        mirror.start()
        for name in ("api", "eks", "reconciler", "balancers", "webhooks", "metadata"):
            if not self.failure:
                self._start(name)
        mirror.join()
        if self.failure:
            time.sleep(EXPLAIN)
            os.kill(os.getpid(), signal.SIGTERM)

    def _start(self, name: str) -> None:
        try:
            getattr(self, f"_{name}")()
            self.parts[name] = True
            log.info("%s: up", name)
        except Exception as error:
            self.failure = f"{name}: {error}"
            log.exception("%s", name)

    def _api(self) -> None:
        from lab.cloud.cloud import Cloud

        self._cloud = Cloud()
        self._replayed.set()
        # Machines and pods of the lab sign as everybody else does.
        self._stops.append(serve(str(constants.FABRIC), self).shutdown)

    def _eks(self) -> None:
        self._cloud.eks.start()

    def _reconciler(self) -> None:
        self._cloud.instances.start()
        self._stops.append(self._cloud.instances.stop)

    def _balancers(self) -> None:
        self._cloud.balancers.start()
        self._stops.append(self._cloud.balancers.stop)

    def _webhooks(self) -> None:
        from lab.cloud import webhooks

        self._stops.append(webhooks.serve(self._cloud.reviews()).shutdown)

    def _metadata(self) -> None:
        from lab.cloud.ec2 import metadata

        self._stops.append(metadata.serve(self._cloud.eks.role, self._cloud.eks.pod_credentials).shutdown)

    def _mirror(self) -> None:
        from lab import mirror

        servers: list[ThreadingHTTPServer] = mirror.serve()
        self._stops.extend(server.shutdown for server in servers)

    def take_down(self) -> None:
        """Stops what was started, the last first. Hosts stay."""
        for stop in reversed(self._stops):
            stop()


def serve(address: str, app: WSGIApplication) -> BaseWSGIServer:
    """Serves an application on the API's port of one address, in a thread. Returns the running server. Raises
    UsageError."""
    try:
        server = make_server(address, constants.API_PORT, app, threaded=True, request_handler=Handler)
    except (OSError, SystemExit):  # werkzeug exits where the port is taken
        raise UsageError(daemon_control.port_taken()) from None
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, name=f"api-{address}", daemon=True).start()
    return server


def main() -> int:
    """Returns 0 after SIGTERM, 1 when a part could not start, 2 when the port is taken."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # moto iterates over sets of strings here and there: a replay must meet the same order.
        os.execve(sys.executable, [sys.executable, "-m", "lab.daemon"], {**os.environ, "PYTHONHASHSEED": "0"})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    for name in ("botocore", "urllib3", "werkzeug"):
        logging.getLogger(name).setLevel(logging.WARNING)
    daemon = Daemon()
    try:
        server = serve("127.0.0.1", daemon)
    except UsageError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    threading.Thread(target=daemon.bring_up, name="start", daemon=True).start()
    over.wait()
    server.shutdown()
    daemon.take_down()
    return 1 if daemon.failure else 0


if __name__ == "__main__":
    sys.exit(main())
