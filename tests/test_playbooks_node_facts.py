"""What a machine says of its certificates, disks, kubelet and etcd, with files and a server of the test's own."""

import base64
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.test_playbooks_modules import load
from twinplane.certificates import DAYS, self_signed


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, its folders in the test's own."""
    name = "ansible.module_utils.debian"
    monkeypatch.setitem(sys.modules, name, load("module_utils/debian.py", name))
    loaded = load("library/node_facts.py", "library_node_facts")
    for constant, folder in (("KUBERNETES", "k"), ("KUBELET_PKI", "kubelet"), ("ETCD_PKI", "k/pki/etcd")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(loaded, constant, tmp_path / folder)
    monkeypatch.setattr(loaded, "POD_NETWORK", tmp_path / "10-pods.conflist")
    return loaded


def test_certificates_are_those_in_use(facts: ModuleType, tmp_path: Path) -> None:
    made = self_signed(["cp-1"])
    both = made["private_key"] + made["certificate"]
    (tmp_path / "k/pki/etcd/ca.crt").write_text(made["certificate"])
    (tmp_path / "k/pki/broken.crt").write_text("")
    (tmp_path / "kubelet/kubelet-client-2026-11-30.pem").write_text(both)
    (tmp_path / "kubelet/kubelet-client-current.pem").symlink_to("kubelet-client-2026-11-30.pem")
    (tmp_path / "kubelet/kubelet.crt").write_text(made["certificate"])
    data = base64.b64encode(made["certificate"].encode()).decode()
    (tmp_path / "k/admin.conf").write_text(f"users:\n- user:\n    client-certificate-data: {data}\n")
    (tmp_path / "k/kubelet.conf").write_text("users:\n- user:\n    client-certificate: /var/lib/kubelet/pki/x.pem\n")

    found = {Path(each["path"]).name: each for each in facts.certificates()}
    assert found.keys() == {"ca.crt", "broken.crt", "kubelet-client-current.pem", "kubelet.crt", "admin.conf"}
    broken = found.pop("broken.crt")
    assert (broken["subject"], broken["expires"]) == ("", "")
    for each in found.values():
        assert each["authority"] is True
        assert "cp-1" in each["subject"]
        left = datetime.fromisoformat(each["expires"]) - datetime.now(UTC)
        assert timedelta(DAYS - 1) < left <= timedelta(DAYS)

    (tmp_path / "kubelet/kubelet-server-current.pem").write_text(both)
    names = {Path(each["path"]).name for each in facts.certificates()}
    assert "kubelet-server-current.pem" in names
    assert "kubelet.crt" not in names


def test_one_that_signs_nothing_is_no_authority(facts: ModuleType, tmp_path: Path) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=leaf", "-addext", "basicConstraints=CA:FALSE", "-keyout", "key", "-out", "k/pki/leaf.crt"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    (found,) = facts.certificates()
    assert found["authority"] is False
    assert found["subject"].endswith("leaf")


def test_disks_are_of_the_root_and_of_etcd_where_it_is(
    facts: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(facts, "ETCD_DATA", tmp_path / "etcd")
    assert list(facts.disks()) == ["/"]
    (tmp_path / "etcd").mkdir()
    found = facts.disks()
    assert list(found) == ["/", str(tmp_path / "etcd")]
    assert all(0 < each["free"] <= each["size"] for each in found.values())


def test_the_pods_range_is_that_of_the_network_plugin(facts: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "10-pods.conflist"
    assert facts.pod_range() == ""
    file.write_text("{half")
    assert facts.pod_range() == ""
    plugins = [{"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.244.1.0/24"}}, {"type": "portmap"}]
    file.write_text(json.dumps({"plugins": plugins}))
    assert facts.pod_range() == "10.244.1.0/24"


@pytest.mark.parametrize(
    "rule", ["ip daddr @podips-v4 queue flags bypass to 98", "ip daddr @podips-v4 queue num 98 bypass"]
)
def test_policies_are_acted_on_where_a_process_reads_the_queue_of_a_rule(
    facts: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rule: str
) -> None:
    def rules(text: str) -> None:
        done = subprocess.CompletedProcess([], 0, stdout=text)
        monkeypatch.setattr(facts.subprocess, "run", lambda *_, **__: done)

    queues = tmp_path / "queues"
    monkeypatch.setattr(facts, "QUEUES", queues)
    rules(f"table inet kube-network-policies {{\n\tchain postrouting {{\n\t\t{rule}\n\t}}\n}}\n")
    assert not facts.network_policies(), "the agent has ended: packets pass"
    queues.write_text("   98 4711     0 2   128     0     0        7  1\n")
    assert facts.network_policies()
    queues.write_text("  100 4711     0 2   128     0     0        7  1\n")
    assert not facts.network_policies(), "of somebody else"
    queues.write_text("   98 4711     0 2   128     0     0        7  1\n")
    rules("")
    assert not facts.network_policies(), "the kernel has taken no rule"


def test_the_kubelets_state_is_systemds(facts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\nExecMainStatus=1\n"
    done = subprocess.CompletedProcess([], 0, stdout=shown)
    monkeypatch.setattr(facts.subprocess, "run", lambda *_, **__: done)
    assert facts.kubelet() == {
        "load": "loaded",
        "active": "activating",
        "sub": "auto-restart",
        "result": "exit-code",
        "status": "1",
    }


def test_lists_that_cannot_be_fetched_leave_the_rest(facts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise facts.Unavailable("apt-get update: E: Could not\n  resolve it")

    monkeypatch.setattr(facts, "refresh", refuse)
    assert facts.updates() == {"updates": [], "updates_error": "apt-get update: E: Could not resolve it"}


@contextmanager
def etcd(answer: dict[str, Any], certificate: Path) -> Iterator[tuple[tuple[str, int], list[dict[str, Any]]]]:
    """Serves as etcd's gateway does to who has a certificate. Yields its address, and a list of what it was asked."""
    asked: list[dict[str, Any]] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append({"path": self.path, **json.loads(self.rfile.read(int(self.headers["Content-Length"])))})
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield ("localhost", server.server_address[1]), asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("counted", "initialized"), [({"count": "1"}, True), ({}, False)])
def test_etcd_is_asked_for_what_kubeadm_wrote(
    facts: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counted: dict[str, str], initialized: bool
) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key", "-out", "crt"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    pem, key = (tmp_path / "crt").read_text(), (tmp_path / "key").read_text()
    (tmp_path / "both.pem").write_text(pem + key)
    assert facts.etcd() == {}
    for name, text in (("ca.crt", pem), ("healthcheck-client.crt", pem), ("healthcheck-client.key", key)):
        (tmp_path / "k/pki/etcd" / name).write_text(text)
    header = {"cluster_id": "14841639068965178418", "revision": "4711"}
    with etcd({"header": header, **counted}, tmp_path / "both.pem") as (address, asked):
        monkeypatch.setattr(facts, "ETCD", address)
        found = facts.etcd()
    assert found == {"cluster": "14841639068965178418", "revision": 4711, "initialized": initialized}
    key64 = base64.b64encode(b"/registry/configmaps/kube-system/kubeadm-config").decode()
    assert asked == [{"path": "/v3/kv/range", "key": key64, "count_only": True}]
    assert facts.etcd() == {}  # it has ended
