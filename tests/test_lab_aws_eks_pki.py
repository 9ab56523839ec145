"""Certificates that TLS accepts, for whom they are meant."""

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.cloud.eks import pki


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    folder = pki.Pki(tmp_path_factory.mktemp("pki") / "made")
    folder.ensure(address="127.0.0.1", service_address="198.19.0.1")
    return folder


def _certificate(pair: pki.Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def test_tls_accepts_them(made: pki.Pki) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.folder / "apiserver.crt", made.folder / "apiserver.key")
    server.load_verify_locations(made.folder / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=made.folder / "ca.crt")
    client.load_cert_chain(made.folder / "admin.crt", made.folder / "admin.key")
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            accepted, _ = listening.accept()
            with server.wrap_socket(accepted, server_side=True) as wrapped:
                seen.append(wrapped.getpeercert())
                wrapped.send(b"x")

        thread = threading.Thread(target=answer)
        thread.start()
        with client.wrap_socket(
            socket.create_connection(listening.getsockname()), server_hostname="127.0.0.1"
        ) as wrapped:
            assert wrapped.recv(1) == b"x"
        thread.join()
    assert "system:masters" in str(seen)


def test_clients_are_who_kubernetes_knows(made: pki.Pki) -> None:
    for name, expected in {
        "controller-manager": "system:kube-controller-manager",
        "scheduler": "system:kube-scheduler",
        "apiserver-kubelet-client": "kube-apiserver-kubelet-client",
    }.items():
        certificate = _certificate(made.pair(name))
        (common,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert common.value == expected
        assert not certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_are_for_root_alone_and_made_once(made: pki.Pki) -> None:
    assert {path.stat().st_mode & 0o777 for path in made.folder.iterdir()} == {0o600}
    before = made.pair("ca")
    made.ensure(address="127.0.0.1", service_address="198.19.0.1")
    assert made.pair("ca") == before


def test_an_interrupted_making_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pki.Pki(tmp_path / "pki")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pki, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.ensure(address="127.0.0.1", service_address="198.19.0.1")
    assert list(tmp_path.iterdir()) == []
    folder.ensure(address="127.0.0.1", service_address="198.19.0.1")
    assert folder.folder.exists()
