"""When certificates expire: those that the API server and the kubeconfig show. Machines tell of theirs themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Handshake, Kubeconfig


@dataclass(frozen=True)
class Certificate:
    """One certificate. `expires` is None where it cannot be read."""

    #: A path on a machine, or what the certificate is for.
    name: str
    subject: str
    expires: datetime | None
    #: It signs others.
    authority: bool


def from_pem(name: str, pem: str) -> Certificate:
    """Returns the first certificate of the text."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return Certificate(name, "", None, authority=False)
    try:
        authority = bool(found.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value.ca)  # type: ignore[attr-defined]
    except x509.ExtensionNotFound:
        authority = False
    return Certificate(name, found.subject.rfc4514_string(), found.not_valid_after_utc, authority)


def api_certificate(host: str, port: int) -> Probe[Certificate]:
    """The certificate that the API server serves with."""
    return Probe("api_certificate", Handshake(host, port), lambda pem: from_pem("the API server's", pem))


def kubeconfig_certificates() -> Probe[tuple[Certificate, ...]]:
    """The authority that the exported kubeconfig trusts, and the client certificate that it logs in with, if any."""
    return Probe("kubeconfig_certificates", Kubeconfig(), _kubeconfig)


def _kubeconfig(answer: dict[str, str]) -> tuple[Certificate, ...]:
    return tuple(from_pem(f"the kubeconfig's {name}", pem) for name, pem in answer.items())
