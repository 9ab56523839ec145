"""Which kubelet's certificate is approved: its own alone. Requests are real ones, made by openssl."""

import base64
import json
import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.playbook_modules import Run, load

NODES = {"worker-1": ["10.0.0.2", "203.0.113.2"], "worker-2": ["10.0.0.3", "203.0.113.3"]}
GOOD = {"node": "worker-1", "names": "DNS:worker-1,IP:10.0.0.2"}


@pytest.fixture(scope="module")
def approver() -> ModuleType:
    return load("roles/serving_certificates/files/approve_serving_certificates.py", "approve_serving_certificates")


@pytest.fixture(scope="module")
def certificates() -> ModuleType:
    return load("library/serving_certificates.py", "library_serving_certificates")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
    return path


def openssl(*argv: str) -> bytes:
    return subprocess.run(["openssl", *argv], check=True, capture_output=True).stdout


def csr(key: Path, *, node: str, names: str, subject: str = "", **spec: Any) -> dict[str, Any]:
    """A request as the API server shows it."""
    asked = openssl(
        *("req", "-new", "-key", str(key), "-subj", subject or f"/O=system:nodes/CN=system:node:{node}"),
        *(["-addext", f"subjectAltName={names}"] if names else []),
    )
    own = {"username": f"system:node:{node}", "groups": ["system:nodes", "system:authenticated"]}
    usages = {"usages": ["digital signature", "server auth"]}
    return {
        "metadata": {"name": f"csr-{node}"},
        "spec": {**own, **usages, "request": base64.b64encode(asked).decode(), **spec},
        "status": {},
    }


@pytest.mark.parametrize(
    "names",
    [
        "DNS:worker-1,IP:10.0.0.2",
        "IP:10.0.0.2",
        "DNS:worker-1,DNS:ip-10-0-0-2.ec2.internal,IP:10.0.0.2",
        "DNS:ip-10-0-0-2.eu-west-1.compute.internal,DNS:ec2-203-0-113-2.compute-1.amazonaws.com,IP:203.0.113.2",
    ],
)
def test_a_node_gets_its_own_names(approver: ModuleType, key: Path, names: str) -> None:
    assert approver.refusal(csr(key, node="worker-1", names=names), NODES) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"names": "DNS:worker-2,IP:10.0.0.2"}, "it asks for worker-2"),
        ({"names": "DNS:worker-1,IP:10.0.0.3"}, "it asks for 10.0.0.3"),
        ({"names": "DNS:kubernetes.default.svc,IP:10.0.0.2"}, "kubernetes.default.svc"),
        ({"names": "DNS:ip-10-0-0-3.ec2.internal,IP:10.0.0.2"}, "ip-10-0-0-3"),
        ({"names": "DNS:*.ec2.internal,IP:10.0.0.2"}, "ec2.internal"),
        ({"names": "DNS:worker-1"}, "no address"),
        ({"names": ""}, "no address"),
        ({"names": "URI:spiffe://x,IP:10.0.0.2"}, "unreadable: it asks for URI"),
        ({"names": "email:a@b.example,IP:10.0.0.2"}, "unreadable: it asks for email"),
        ({"node": "worker-9"}, "no node of this cluster"),
        ({"username": "kubernetes-admin"}, "kubernetes-admin is no node"),
        ({"groups": ["system:authenticated"]}, "no node of this cluster"),
        ({"subject": "/O=system:masters/CN=system:node:worker-1"}, "it names"),
        ({"subject": "/O=system:nodes/CN=system:node:worker-2"}, "it names"),
        ({"usages": ["digital signature", "client auth"]}, "it is for"),
        ({"usages": ["server auth", "client auth"]}, "it is for"),
        ({"request": base64.b64encode(b"nonsense").decode()}, "unreadable"),
    ],
)
def test_a_node_gets_nothing_else(approver: ModuleType, key: Path, changes: dict[str, Any], reason: str) -> None:
    assert reason in approver.refusal(csr(key, **{**GOOD, **changes}), NODES)


class Kubectl:
    """An API server's answers; all else is run."""

    def __init__(self, *requests: dict[str, Any]) -> None:
        self.requests = {each["metadata"]["name"]: each for each in requests}
        self.approved: list[str] = []

    def run(self, *argv: str, stdin: str | None = None) -> str:
        if argv[:2] == ("kubectl", "get"):
            return json.dumps({"items": list(self.requests.values())})
        if argv[:3] == ("kubectl", "certificate", "approve"):
            self.approved += argv[3:]
            for name in argv[3:]:
                self.requests[name]["status"] = {"conditions": [{"type": "Approved"}]}
            return ""
        return subprocess.run(argv, check=True, capture_output=True, text=True, input=stdin).stdout


def test_each_is_approved_or_refused_once(
    approver: ModuleType, key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl = Kubectl(csr(key, **GOOD), csr(key, node="worker-2", names="IP:10.0.0.2"))
    monkeypatch.setattr(approver, "run", kubectl.run)
    told: set[str] = set()
    approver.review(NODES, told)
    approver.review(NODES, told)
    assert kubectl.approved == ["csr-worker-1"]
    assert capsys.readouterr().out.splitlines() == [
        "approved csr-worker-1 of system:node:worker-1",
        "left csr-worker-2 pending: it asks for 10.0.0.2",
    ]


def test_it_looks_whenever_the_api_server_tells_of_one(
    approver: ModuleType, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = tmp_path / "nodes.json"
    nodes.write_text(json.dumps(NODES))
    monkeypatch.setattr(approver, "NODES", nodes)
    kubectl = Kubectl(csr(key, **GOOD))
    monkeypatch.setattr(approver, "run", kubectl.run)
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\ntest "$*" = "get csr --field-selector=spec.signerName=kubernetes.io/kubelet-serving')
    with program.open("a") as file:
        file.write(' --watch --output=name" && echo certificatesigningrequest.certificates.k8s.io/csr-worker-1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    approver.main()
    assert kubectl.approved == ["csr-worker-1"]


def test_waits_until_all_serve(certificates: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False, True, True])
    monkeypatch.setattr(certificates, "serves", lambda _: next(answers))
    monkeypatch.setattr(certificates.time, "sleep", lambda _: None)
    answer = run(certificates, nodes={"worker-1": "10.0.0.2", "worker-2": "10.0.0.3"}, timeout=60)
    assert not answer["changed"]
    assert next(answers, None) is None


def test_tells_who_does_not_serve(certificates: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "serves", lambda address: address == "10.0.0.2")
    answer = run(certificates, nodes={"worker-1": "10.0.0.2", "worker-2": "10.0.0.3"}, timeout=0)
    assert answer["failed"]
    assert "yet on worker-2: `journalctl" in answer["msg"]


def test_sees_who_serves_with_a_certificate_of_the_authority(
    certificates: ModuleType, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert = tmp_path / "cert.pem"
    self_signed = ("req", "-x509", "-key", str(key), "-subj", "/CN=kubelet", "-addext", "subjectAltName=IP:127.0.0.1")
    cert.write_bytes(openssl(*self_signed))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    continue

    thread = threading.Thread(target=answer)
    thread.start()
    monkeypatch.setattr(certificates, "PORT", listener.getsockname()[1])
    monkeypatch.setattr(certificates, "AUTHORITY", str(cert))
    assert certificates.serves("127.0.0.1")
    other = tmp_path / "other.pem"
    other.write_bytes(openssl(*self_signed[:-1], "subjectAltName=IP:127.0.0.9"))
    monkeypatch.setattr(certificates, "AUTHORITY", str(other))
    assert not certificates.serves("127.0.0.1")
    thread.join()
    listener.close()
    assert not certificates.serves("127.0.0.1")
