"""The load: bounded, honest about failures, gone when it should be."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from twinplane.live.unanswered import Unanswered
from twinplane.operate import load
from twinplane.operate.load import Load, Measured, addresses, http_get, measure
from twinplane.outputs import SampleApp


def test_numbers_of_no_request_at_all() -> None:
    assert measure([]) == Measured(0, 0, 0.0)
    assert "cannot be reached from here" in str(Measured(0, 0, 0.0))


def test_the_gap_is_the_longest_time_without_success() -> None:
    done = [(0.0, True), (1.0, False), (2.0, False), (3.5, True), (4.0, True)]
    assert measure(done) == Measured(5, 2, 3.5)
    assert str(measure(done)) == "load: 5 requests, 2 failed, longest gap 3.5 s"


def test_a_gap_that_is_open_at_the_end_counts() -> None:
    assert measure([(0.0, True), (2.0, False), (7.0, False)]) == Measured(3, 2, 7.0)


def test_requests_go_round_at_the_rate_and_failures_are_counted() -> None:
    seen: list[str] = []

    def fetch(address: str) -> None:
        seen.append(address)
        if address == "b":
            raise OSError("refused")

    began = time.monotonic()
    with Load(lambda: ("a", "b"), fetch, rate=100) as running:
        while len(seen) < 12 and time.monotonic() < began + 60:
            time.sleep(0.01)
    measured = running.measured()
    assert 10 <= measured.requests <= 100 * (time.monotonic() - began) + 2
    assert abs(seen.count("a") - seen.count("b")) <= 2
    assert measured.failed == seen.count("b")


def test_a_slow_server_does_not_lower_the_rate() -> None:
    with Load(lambda: ("a",), lambda _: time.sleep(0.3), rate=50) as running:
        time.sleep(0.5)
    assert running.measured().requests >= 8


def test_where_nothing_answers_at_first_nothing_is_measured() -> None:
    def refuse(_: str) -> None:
        raise OSError

    with Load(lambda: ("a",), refuse, rate=100) as running:
        time.sleep(0.1)
    assert running.measured().requests == 0


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (TimeoutError(), "", "the sample app cannot be reached from here"),
        (ConnectionRefusedError("refused"), "", "the sample app's port refuses requests (refused)"),
        (http.client.HTTPException(503), "", "the sample app's port refuses requests (503)"),
        (TimeoutError(), "the sample app is down", "the sample app is down"),
    ],
)
def test_where_nothing_is_measured_the_reason_is_told(error: Exception, state: str, reason: str) -> None:
    def refuse(_: str) -> None:
        raise error

    with Load(lambda: ("a",), refuse, lambda: state) as running:
        time.sleep(0.1)
    assert str(running.measured()) == f"load: {reason}, nothing measured"


def test_no_node_that_takes_requests_is_a_reason() -> None:
    with Load(lambda: (), lambda _: None) as running:
        time.sleep(0.1)
    assert running.measured().reason == "no node takes requests for the sample app"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"readyReplicas": 1}, ""),
        ({}, "the sample app is down, none of its 3 pods is ready"),
        (None, "the API does not say whether the sample app runs (refused)"),
    ],
)
def test_the_cluster_says_whether_the_app_is_down(
    monkeypatch: pytest.MonkeyPatch, status: dict[str, int] | None, state: str
) -> None:
    def get(_: object, path: str) -> bytes:
        assert path == "/apis/apps/v1/namespaces/shop/deployments/web"
        if status is None:
            raise Unanswered("refused")
        return json.dumps({"spec": {"replicas": 3}, "status": status}).encode()

    monkeypatch.setattr(load, "get", get)
    assert load.app_state(None, SampleApp("shop", "web", "web", 30080)) == state  # type: ignore[arg-type]


def test_it_stops_by_itself() -> None:
    running = Load(lambda: ("a",), lambda _: None, rate=100, limit=0.2)
    with running:
        time.sleep(0.6)
        count = running.measured().requests
        assert count <= 25
        assert not any(thread.name == "load" for thread in threading.enumerate())


def test_targets_are_asked_again_and_kept_while_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "REFRESH", 0.05)
    answers = iter([("a",), ("b",)])

    def targets() -> tuple[str, ...]:
        try:
            return next(answers)
        except StopIteration:
            raise Unanswered("refused") from None

    seen: list[str] = []
    with Load(targets, seen.append, rate=100):
        time.sleep(0.4)
    assert seen[0] == "a"
    assert seen[-1] == "b"


def test_only_nodes_that_a_balancer_would_use_get_requests() -> None:
    case = json.loads((Path(__file__).parent / "golden/probes/nodes.both-kinds.json").read_text())
    assert addresses(case["answer"]) == ("198.18.0.20",)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.server.good else 503)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_only_200_is_success(server: ThreadingHTTPServer) -> None:
    fetch = http_get(server.server_address[1])
    server.good = True  # type: ignore[attr-defined]
    fetch("127.0.0.1")
    server.good = False  # type: ignore[attr-defined]
    with pytest.raises(http.client.HTTPException):
        fetch("127.0.0.1")


def test_an_api_that_hangs_does_not_stop_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "REFRESH", 0.01)
    calls: list[float] = []

    def targets() -> tuple[str, ...]:
        calls.append(time.monotonic())
        if len(calls) > 1:
            time.sleep(0.5)
        return ("a",)

    with Load(targets, lambda _: None, rate=100) as running:
        time.sleep(0.4)
    assert running.measured().requests > 10
    assert running.measured().gap < 0.4
