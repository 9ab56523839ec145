"""A light, bounded load on the sample app's NodePort, as a client behind a load balancer would make it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import TracebackType
from typing import Any

from kubernetes.client import ApiClient

from twinplane.live.kubernetes import get
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import SampleApp

#: Requests a second. Enough to see a gap of 50 ms, too few to disturb two small nodes.
RATE = 20
#: Seconds until a request counts as failed.
TIMEOUT = 2.0
#: Seconds between two looks at which nodes may get requests.
REFRESH = 1.0
#: Seconds after which the load ends by itself, whatever happens to its caller.
LIMIT = 3600.0


@dataclass(frozen=True)
class Measured:
    """What the client saw. `gap` is the longest time without a successful answer, in seconds.

    `reason` says why nothing was measured, where it is known.
    """

    requests: int
    failed: int
    gap: float
    reason: str = ""

    def __str__(self) -> str:
        if not self.requests:
            return f"load: {self.reason or 'the sample app cannot be reached from here'}, nothing measured"
        return f"load: {self.requests} requests, {self.failed} failed, longest gap {self.gap:.1f} s"


@dataclass
class Load:
    """Runs between `with` and its end. `targets` gives the addresses that may get requests, `fetch` sends one.

    `state` is asked where none answers: what the cluster says of the sample app's pods, "" when they are ready.
    """

    targets: Callable[[], tuple[str, ...]]
    fetch: Callable[[str], None]
    state: Callable[[], str] = lambda: ""
    rate: float = RATE
    limit: float = LIMIT
    _done: list[tuple[float, bool]] = field(default_factory=list, init=False)
    _addresses: tuple[str, ...] = field(default=(), init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _reason: str = field(default="", init=False)

    def __enter__(self) -> Load:
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def measured(self) -> Measured:
        """What was seen so far."""
        return replace(measure(self._done), reason=self._reason)

    def _run(self) -> None:
        self._look()
        errors = []
        for address in self._addresses:
            if not (error := self._request(address)):
                break
            errors.append(error)
        else:
            self._reason = self.state() or unreached(errors)
            return
        started = time.monotonic()
        self._done.append((started, True))
        looking = threading.Thread(target=self._keep_looking, name="load targets", daemon=True)
        looking.start()
        # Slow requests must not lower the rate: as many at once as can be open until they time out.
        with ThreadPoolExecutor(int(self.rate * TIMEOUT) + 1) as pool:
            number = 0
            while not self._stop.wait(max(0.0, started + number / self.rate - time.monotonic())):
                if time.monotonic() - started > self.limit:
                    self._stop.set()
                    break
                number += 1
                if self._addresses:
                    pool.submit(self._count, self._addresses[number % len(self._addresses)])
        looking.join()

    def _keep_looking(self) -> None:
        while not self._stop.wait(REFRESH):
            self._look()

    def _look(self) -> None:
        """Learns the targets; the last known ones stay while nobody tells."""
        with suppress(Unanswered):
            self._addresses = self.targets()

    def _count(self, address: str) -> None:
        error = self._request(address)
        self._done.append((time.monotonic(), error is None))

    def _request(self, address: str) -> Exception | None:
        try:
            self.fetch(address)
        except (OSError, http.client.HTTPException) as error:
            return error
        return None


def unreached(errors: list[Exception]) -> str:
    """Returns why no node answered for the sample app: a refusal comes from the node, silence may be the network's."""
    if not errors:
        return "no node takes requests for the sample app"
    refused = (ConnectionRefusedError, http.client.HTTPException)
    if answer := next((error for error in errors if isinstance(error, refused)), None):
        return f"the sample app's port refuses requests ({answer})"
    return "the sample app cannot be reached from here"


def app_state(client: ApiClient, sample_app: SampleApp) -> str:
    """Returns what the cluster says where the sample app is down; "" when a pod of it is ready."""
    try:
        path = f"/apis/apps/v1/namespaces/{sample_app.namespace}/deployments/{sample_app.deployment}"
        seen = json.loads(get(client, path))
    except Unanswered as error:
        return f"the API does not say whether the sample app runs ({error})"
    if seen["status"].get("readyReplicas", 0):
        return ""
    return f"the sample app is down, none of its {seen['spec'].get('replicas', 1)} pods is ready"


def measure(done: Iterable[tuple[float, bool]]) -> Measured:
    """(time, success) of every request -> the numbers. A gap still open at the end counts."""
    every = sorted(done)
    good = [at for at, success in every if success]
    ends = [*good, every[-1][0]] if every else []
    gap = max((later - earlier for earlier, later in pairwise(ends)), default=0.0)
    return Measured(len(every), len(every) - len(good), gap)


def http_get(port: int) -> Callable[[str], None]:
    """Sends GET / to a port. Raises OSError or HTTPException for everything but 200."""

    def fetch(address: str) -> None:
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
        try:
            connection.request("GET", "/")
            if (status := connection.getresponse().status) != http.client.OK:
                raise http.client.HTTPException(status)
        finally:
            connection.close()

    return fetch


def open_nodes(client: ApiClient) -> tuple[str, ...]:
    """InternalIPs of the nodes that a load balancer would send requests to: Ready and schedulable."""
    return addresses(json.loads(get(client, "/api/v1/nodes", timeout=TIMEOUT)))


def addresses(nodes: dict[str, Any]) -> tuple[str, ...]:
    """A NodeList -> the addresses of the nodes that are Ready and schedulable."""
    return tuple(
        address["address"]
        for node in nodes["items"]
        if not node["spec"].get("unschedulable")
        and any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
        and not any(taint["effect"] == "NoSchedule" for taint in node["spec"].get("taints", []))
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    )
