"""How questions are asked: clients apart from each other, secrets in memory, no exception but Unanswered."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests import aws_cli
from tests.test_twinplane_ssh import greet
from twinplane import ansible
from twinplane.ansible import Result
from twinplane.errors import UsageError
from twinplane.generate.certificates import self_signed
from twinplane.live import kubernetes
from twinplane.live.kubernetes import kubernetes_client
from twinplane.live.unanswered import Unanswered
from twinplane.outputs import StackOutputs
from twinplane.questions import Access, Call, Connect, Get, Handshake, Kubeconfig, Login, Tunnel

GOLDEN = Path(__file__).parent / "golden" / "compare"


def kubeconfig(server: str, user: dict[str, Any], **cluster: str) -> str:
    return json.dumps(
        {
            "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code = {"/readyz?verbose": 500, "/denied": 403}.get(self.path, 200)
            body = b"[-]etcd failed" if code == 500 else json.dumps({"token": self.headers["Authorization"]}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def access(server: str, kind: str = "self-managed", environment: dict[str, str] | None = None) -> Access:
    outputs = StackOutputs.from_exports(json.loads((GOLDEN / f"{kind}.json").read_text())["outputs"])
    client = kubernetes_client(kubeconfig(server, {"token": "t"}), {})
    return Access(outputs, client, environment or {}, lambda _: None)


def test_the_api_answers_json_and_health_answers_text(server: ThreadingHTTPServer) -> None:
    asking = access(f"http://127.0.0.1:{server.server_address[1]}")
    assert asking.answer(Get("/version")) == {"token": "Bearer t"}
    assert asking.answer(Get("/readyz?verbose", text=True)) == "[-]etcd failed"
    for question in (Get("/denied"), Get("/denied", text=True)):
        with pytest.raises(Unanswered, match="403 Forbidden"):
            asking.answer(question)


def test_an_api_that_is_not_there_is_unanswered() -> None:
    with pytest.raises(Unanswered, match="refused"):
        access("http://127.0.0.1:1").answer(Get("/version"))


def test_clients_made_at_once_keep_their_tokens_and_files_apart() -> None:
    def make(number: int) -> Any:
        user = {"token": f"t{number}"}
        authority = {"certificate-authority-data": encoded(f"ca {number}")}
        return kubernetes_client(kubeconfig("https://127.0.0.1:1", user, **authority), {}).configuration

    kubernetes._memory.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    for number, configuration in enumerate(made):
        assert configuration.api_key == {"BearerToken": f"Bearer t{number}"}
        assert Path(configuration.ssl_ca_cert).read_text() == f"ca {number}"
        assert Path(configuration.ssl_ca_cert).is_relative_to("/dev/shm")
        assert Path(configuration.ssl_ca_cert).parent.stat().st_mode & 0o077 == 0


def test_the_credential_command_gets_the_stacks_environment_and_no_more(tmp_path: Path) -> None:
    command = tmp_path / "token"
    command.write_text(
        '#!/bin/sh\nprintf \'{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential",'
        '"status":{"token":"%s"}}\' "$AWS_ENDPOINT_URL-$AWS_PROFILE-$OTHER"\n'
    )
    command.chmod(0o755)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": str(command),
            "env": [{"name": "AWS_PROFILE", "value": "its own"}],
        }
    }
    environment = {"AWS_ENDPOINT_URL": "http://lab", "AWS_PROFILE": "mine", "OTHER": "x"}
    client = kubernetes_client(kubeconfig("http://127.0.0.1:1", user), environment)
    assert client.configuration.api_key == {"BearerToken": "Bearer http://lab-its own-"}


def test_a_kubeconfig_that_gives_no_token_is_wrong_use() -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "/bin/false"}}
    with pytest.raises(UsageError, match="gave no token"):
        kubernetes_client(kubeconfig("http://127.0.0.1:1", user), {})
    with pytest.raises(UsageError, match="kubeconfig: "):
        kubernetes_client("{}", {})


def test_aws_is_asked_with_the_stacks_own_credentials() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    asking = access("http://127.0.0.1:1", environment=environment)
    found = asking.aws.get_credentials()
    assert found is not None
    assert (found.access_key, found.secret_key, asking.aws.region_name) == ("a", "s", "us-east-1")
    with pytest.raises(Unanswered, match=r"http://127\.0\.0\.1:1"):
        asking.answer(Call("eks", "describe_cluster", {"name": "x"}))


def test_a_refusal_of_aws_is_its_code_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("eks", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="s")
    asking = access("http://127.0.0.1:1")
    monkeypatch.setattr(asking.aws, "client", lambda *_, **__: client)
    with Stubber(client) as stub:
        stub.add_client_error("describe_cluster", "ResourceNotFoundException", "No cluster found")
        with pytest.raises(Unanswered, match=r"^ResourceNotFoundException: No cluster found$"):
            asking.answer(Call("eks", "describe_cluster", {"name": "x"}))


def test_a_port_that_greets_one_that_waits_and_one_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinplane.questions.CONNECT_TIMEOUT", 0.2)
    asking = access("http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def greet() -> None:
            connection, _ = listening.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")

        threading.Thread(target=greet, daemon=True).start()
        assert asking.answer(Connect("127.0.0.1", port)) == "SSH-2.0-OpenSSH_9.2p1"
        assert asking.answer(Connect("127.0.0.1", port)) == ""
    with pytest.raises(Unanswered, match="refused"):
        asking.answer(Connect("127.0.0.1", port))


def test_a_tunnel_of_the_stacks_environment_is_asked_for_the_greeting(tmp_path: Path) -> None:
    asking = access("http://127.0.0.1:1", environment={"PATH": str(tmp_path)})
    with pytest.raises(Unanswered, match="install version 2"):
        asking.answer(Tunnel("i-1", "eu-west-1"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        aws_cli.install(tmp_path, {"i-1": listening.getsockname()})
        greet(listening, b"SSH-2.0-OpenSSH_9.2p1\r\n")
        assert asking.answer(Tunnel("i-1", "eu-west-1")) == "SSH-2.0-OpenSSH_9.2p1"
    with pytest.raises(Unanswered, match="i-2 does not exist"):
        asking.answer(Tunnel("i-2", "eu-west-1"))


def test_a_login_asks_every_machine_and_tells_who_did_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def run(playbook: str, request: dict[str, Any], _: Any, *, environment: dict[str, str]) -> Result:
        assert (playbook, environment) == ("facts", {"AWS_PROFILE": "mine"})
        asked.append(request)
        return Result(playbook, facts={"cp-1": {"os": "Debian"}}, failures=["w-1: timed out"])

    monkeypatch.setattr(ansible, "run", run)
    answer = access("http://127.0.0.1:1", environment={"AWS_PROFILE": "mine"}).answer(Login())
    assert answer == {"facts": {"cp-1": {"os": "Debian"}}, "failures": ["w-1: timed out"]}
    assert [machine["name"] for machine in asked[0]["machines"]] == ["cp-1", "w-1", "w-2"]
    with pytest.raises(Unanswered, match="exports no machine"):
        access("http://127.0.0.1:1", "managed").answer(Login())


def test_a_tls_server_shows_its_certificate_whoever_signed_it(tmp_path: Path) -> None:
    made = self_signed(["api.example"])
    (tmp_path / "both.pem").write_text(made["certificate"] + made["private_key"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet_once() -> None:
            with suppress(OSError), context.wrap_socket(listening.accept()[0], server_side=True):
                pass

        threading.Thread(target=greet_once, daemon=True).start()
        shown = access("http://127.0.0.1:1").answer(Handshake("127.0.0.1", listening.getsockname()[1]))
    assert shown == made["certificate"]
    with pytest.raises(Unanswered, match="refused"):
        access("http://127.0.0.1:1").answer(Handshake("127.0.0.1", 1))


def test_certificates_of_the_kubeconfig_are_shown_without_its_key() -> None:
    asking = access("http://127.0.0.1:1")
    user = {"client-certificate-data": encoded("client"), "client-key-data": encoded("secret")}
    text = kubeconfig("http://127.0.0.1:1", user, **{"certificate-authority-data": encoded("ca")})
    asking.outputs = replace(asking.outputs, kubeconfig=text)
    assert asking.answer(Kubeconfig()) == {"authority": "ca", "client": "client"}
    asking.outputs = replace(asking.outputs, kubeconfig=kubeconfig("http://127.0.0.1:1", {"token": "t"}))
    assert asking.answer(Kubeconfig()) == {}
