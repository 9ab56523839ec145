"""The certificates in the exported kubeconfig."""

from __future__ import annotations

from twinplane.compare.probes.certificate import Certificate, from_pem
from twinplane.compare.probes.probe import Probe
from twinplane.questions import Kubeconfig


def probe() -> Probe[tuple[Certificate, ...]]:
    """The authority that the exported kubeconfig trusts, and the client certificate that it logs in with, if any."""
    return Probe("kubeconfig_certificates", Kubeconfig(), _kubeconfig)


def _kubeconfig(answer: dict[str, str]) -> tuple[Certificate, ...]:
    return tuple(from_pem(f"the kubeconfig's {name}", pem) for name, pem in answer.items())
