"""The certificate that the API server serves with."""

from __future__ import annotations

from twinplane.compare.probes.certificate import Certificate, from_pem
from twinplane.compare.probes.probe import Probe
from twinplane.questions import Handshake


def probe(host: str, port: int) -> Probe[Certificate]:
    """The certificate that the API server serves with."""
    return Probe("api_certificate", Handshake(host, port), lambda pem: from_pem("the API server's", pem))
