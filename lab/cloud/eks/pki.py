"""The certificates of one control plane, each made once; the private keys stay in a folder that only root may read."""

from __future__ import annotations

import ipaddress
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Longer than any lab lives, shorter than what clients distrust.
LIFE = timedelta(days=365)

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


def _pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _builder(subject: x509.Name, issuer: x509.Name, key: _PrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFE)
    )


def authority(common_name: str) -> Pair:
    """Returns a new certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def issue(ca: Pair, common_name: str, *, organization: str = "", names: Sequence[str] = ()) -> Pair:
    """Returns a certificate by `ca`: of a server where `names` (DNS names and IP addresses) are given, else of a
    client.

    `organization` is the client's group in Kubernetes.
    """
    issuer = x509.load_pem_x509_certificate(ca.certificate)
    issuer_key = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(common_name, organization), issuer.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Pki:
    """The folder of one cluster's certificates: `<name>.crt` and `<name>.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ensure(self, *, address: str, service_address: str) -> None:
        """Makes everything at once, whole or not at all; what is there stays. The addresses are those at which
        clients outside and inside the cluster call the API server."""
        if self.folder.exists():
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = Path(tempfile.mkdtemp(prefix=".pki-", dir=self.folder.parent))
        try:
            for name, pair in _all(address, service_address).items():
                _write(made / f"{name}.crt", pair.certificate)
                _write(made / f"{name}.key", pair.key)
            made.rename(self.folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def pair(self, name: str) -> Pair:
        """Returns the pair of that name, see `_all`."""
        return Pair((self.folder / f"{name}.crt").read_bytes(), (self.folder / f"{name}.key").read_bytes())


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)


def _all(address: str, service_address: str) -> dict[str, Pair]:
    ca, front_proxy_ca = authority("kubernetes"), authority("front-proxy-ca")
    within = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    # Tokens are signed with RSA: what every verifier of EKS's tokens expects.
    tokens = rsa.generate_private_key(65537, 2048)
    public = tokens.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "ca": ca,
        "front-proxy-ca": front_proxy_ca,
        "apiserver": issue(ca, "kube-apiserver", names=[*within, address, service_address, "127.0.0.1"]),
        "apiserver-kubelet-client": issue(ca, "kube-apiserver-kubelet-client"),
        "front-proxy-client": issue(front_proxy_ca, "front-proxy-client"),
        "controller-manager": issue(ca, "system:kube-controller-manager"),
        "scheduler": issue(ca, "system:kube-scheduler"),
        "aws-cloud-controller-manager": issue(ca, "eks:cloud-controller-manager"),
        "admin": issue(ca, "eks:cluster-bootstrap", organization="system:masters"),
        "service-account": Pair(public, _pem(tokens)),
    }
