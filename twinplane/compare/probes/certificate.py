"""Certificate: a certificate, and when it expires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtensionOID


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
