"""The daemon before it is ready, and the lab where it cannot start."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab import constants, daemon, daemon_control, environment, lifecycle, supervisor
from lab.cloud import api, wsgi
from lab.daemon import Daemon
from lab.errors import UsageError
from tests import aws_front


@pytest.fixture(autouse=True)
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A lab of its own: state elsewhere, and a port that another program has from when it listens."""
    monkeypatch.setattr(constants, "STATE", tmp_path)
    for module in ("supervisor", "machines.host"):
        monkeypatch.setattr(f"lab.{module}.STATE", tmp_path)
    monkeypatch.setattr(api, "endpoint", None)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "API_PORT", other.getsockname()[1])
        monkeypatch.setattr(constants, "API_URL", f"http://127.0.0.1:{other.getsockname()[1]}")
        yield other


def test_tells_its_health_before_it_is_ready() -> None:
    status, _, body = wsgi.respond(Daemon(), wsgi.environ("GET", "/lab/health", {}, b""))
    health = json.loads(b"".join(body))
    assert status == 200
    assert health["ready"] is False
    assert set(health["parts"]) == {"api", "eks", "reconciler", "balancers", "webhooks", "metadata", "mirror"}


def test_a_request_waits_for_the_replay() -> None:
    made = Daemon()

    def replay() -> None:
        made._cloud = SimpleNamespace(endpoint=lambda _, start: (start("200 OK", []), [b"answer"])[1])  # type: ignore[assignment]
        made._replayed.set()

    threading.Timer(0.1, replay).start()
    assert wsgi.respond(made, wsgi.environ("GET", "/", {}, b""))[2] == [b"answer"]


def test_a_request_is_told_to_come_again_when_the_replay_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "PATIENCE", 0.01)
    assert wsgi.respond(Daemon(), wsgi.environ("GET", "/", {}, b""))[0] == 503


def test_a_part_that_does_not_start_is_told_and_ends_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(daemon, "EXPLAIN", 0)
    monkeypatch.setattr("os.kill", lambda pid, _: ended.append(pid))
    made = Daemon()
    for name in made.parts:
        monkeypatch.setattr(made, f"_{name}", lambda: None)

    def broken() -> None:
        raise UsageError("kubelet is missing")

    monkeypatch.setattr(made, "_mirror", broken)
    made.bring_up()
    assert made.health()["failure"] == "mirror: kubelet is missing"
    assert not made.health()["ready"]
    assert ended == [made.health()["pid"]]


def test_a_taken_port_is_named_with_the_way_to_its_owner(port: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    port.listen()
    threading.Thread(target=lambda: [port.accept()[0].close() for _ in range(2)], daemon=True).start()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(
        UsageError, match=rf"port {constants.API_PORT} is taken .* `ss -ltnp 'sport = :{constants.API_PORT}'`"
    ):
        lifecycle.up(print)
    assert list(constants.STATE.iterdir()) == [], "nothing was changed"


@pytest.mark.parametrize("resolves", [True, False])
@pytest.mark.parametrize("code", ["another", daemon_control.code()])
def test_a_daemon_of_other_code_is_replaced_with_its_name_server(
    code: str, resolves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    its = ["stop resolver", "start resolver"] if resolves else []
    wanted = ["stop daemon", *its, "start daemon"] if code == "another" else ["start daemon"]
    answer = {**Daemon().health(), "ready": True, "code": code}
    monkeypatch.setattr(daemon_control, "health", lambda: answer)
    monkeypatch.setattr(supervisor, "alive", lambda name: name == "daemon" or resolves)
    monkeypatch.setattr(supervisor, "stop", lambda name, **_: calls.append(f"stop {name}"))
    monkeypatch.setattr(supervisor, "start", lambda name, _: calls.append(f"start {name}"))
    daemon_control.up(lambda _: None)
    assert calls == wanted


def test_the_api_is_the_same_on_a_second_address(
    port: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port.close()
    keys = api.credentials()

    def client(service: str, address: str, access_key: str = keys.access_key) -> Any:
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=f"http://{address}:{constants.API_PORT}",
            region_name=constants.REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=keys.secret_key,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    with aws_front.fresh(tmp_path, monkeypatch) as front:
        servers = [daemon.serve(address, front) for address in ("127.0.0.1", "127.0.0.2")]
        vpc = client("ec2", "127.0.0.2").create_vpc(CidrBlock="198.18.0.0/24")["Vpc"]["VpcId"]
        assert client("ec2", "127.0.0.1").describe_vpcs(VpcIds=[vpc])["Vpcs"]
        client("s3", "127.0.0.2").create_bucket(Bucket="here")
        assert [each["Name"] for each in client("s3", "127.0.0.1").list_buckets()["Buckets"]] == ["here"]
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            client("ec2", "127.0.0.2", "AKIAUNKNOWN").describe_vpcs()
        for server in servers:
            server.shutdown()
            server.server_close()


@pytest.mark.parametrize("verb", [lifecycle.prepare, lifecycle.up, lifecycle.down])
def test_needs_root(verb: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="root"):
        verb(print)  # type: ignore[operator]


def test_no_environment_without_a_lab() -> None:
    with pytest.raises(UsageError, match="twinplane lab up"):
        environment.environment()


def test_environment_of_a_running_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_control, "health", lambda: {"ready": True})
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("NO_PROXY", "example.com")
    made = environment.environment()
    keys = api.credentials()
    assert made["AWS_ENDPOINT_URL"] == constants.API_URL
    assert (made["AWS_ACCESS_KEY_ID"], made["AWS_SECRET_ACCESS_KEY"]) == (keys.access_key, keys.secret_key)
    assert made["AWS_REGION"] == made["AWS_DEFAULT_REGION"] == "us-east-1"
    assert made["PULUMI_BACKEND_URL"] == f"file://{constants.STATE}/pulumi"
    assert Path(made["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    assert made["NO_PROXY"] == "example.com,127.0.0.1,198.18.0.0/15"
    assert made["PATH"].startswith(f"{constants.PROJECT}/.venv/bin:{constants.CACHE}/bin:")
    assert made["PATH"].endswith(":/usr/bin:/bin")
    monkeypatch.setenv("PATH", made["PATH"])
    assert environment.environment() == made, "evaluated twice, it is the same"


def test_secrets_are_for_their_owner_alone() -> None:
    api.credentials()
    for path in (environment.passphrase(), api.directory() / "credentials.json"):
        assert path.stat().st_mode & 0o077 == 0
    assert api.credentials() == api.credentials()
    assert api.credentials().access_key.startswith("AKIA")


def test_status_without_a_lab() -> None:
    told = lifecycle.status()
    assert (told["running"], told["ready"], told["hosts"]) == (False, False, [])
