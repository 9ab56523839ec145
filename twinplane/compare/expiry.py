"""Observations -> when the cluster's certificates and authorities expire. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinplane.compare.evidence import Cell
from twinplane.compare.observe import Observed
from twinplane.compare.probes.certificate import Certificate
from twinplane.compare.probes.probe import Seen

#: Days left below which a certificate is worth a warning.
SOON = 30


@dataclass(frozen=True)
class Expiry:
    """A certificate, the machine that has it ("" for what no machine told), and whole days left, None if unreadable."""

    certificate: Certificate
    machine: str
    days: int | None

    def title(self) -> str:
        """Returns which certificate it is, e.g. "/etc/kubernetes/pki/ca.crt on cp-1"."""
        return f"{self.certificate.name} on {self.machine}" if self.machine else self.certificate.name

    def export(self) -> dict[str, Any]:
        """Returns it as plain data, for `--json`."""
        return {
            "name": self.certificate.name,
            "machine": self.machine,
            "subject": self.certificate.subject,
            "authority": self.certificate.authority,
            "expires": self.certificate.expires.isoformat() if self.certificate.expires else None,
            "daysLeft": self.days,
        }


def expiries(observed: Observed) -> tuple[Expiry, ...]:
    """Returns every certificate that was seen, those that cannot be read first, then by days left."""
    every = [each for _, found in _by_probe(observed) for each in found]
    return tuple(sorted(every, key=lambda each: (each.days is not None, each.days or 0, each.title())))


def _by_probe(observed: Observed) -> tuple[tuple[Seen[Any], list[Expiry]], ...]:
    machines = observed.machines.fact.machines if observed.machines.fact else {}
    api = observed.api_certificate
    return (
        (
            observed.machines,
            [_expiry(observed.machines, each, name) for name, it in machines.items() for each in it.certificates],
        ),
        (api, [_expiry(api, api.fact)] if api.fact else []),
        (
            observed.kubeconfig_certificates,
            [_expiry(observed.kubeconfig_certificates, each) for each in observed.kubeconfig_certificates.fact or ()],
        ),
    )


def _expiry(seen: Seen[Any], certificate: Certificate, machine: str = "") -> Expiry:
    return Expiry(certificate, machine, (certificate.expires - seen.at).days if certificate.expires else None)


def certificates(observed: Observed) -> Cell:
    """Certificates that servers show and clients log in with: what renews them can be run at any time."""
    return _cell(observed, authority=False)


def authorities(observed: Observed) -> Cell:
    """Authorities that sign them: a new one is a new trust for every machine and every kubeconfig."""
    return _cell(observed, authority=True)


def _remedy(observed: Observed, expiry: Expiry) -> str:
    """Returns who renews it, or what to do."""
    if expiry.certificate.authority:
        return "plan for a new one"
    if expiry.certificate.name.startswith("/var/lib/kubelet/"):
        return "the kubelet renews it; `journalctl -u kubelet` there says why it did not"
    return "`pulumi up` renews it" if observed.outputs.machines else "AWS renews it"


def _cell(observed: Observed, *, authority: bool) -> Cell:
    found = [each for each in expiries(observed) if each.certificate.authority == authority]
    seen = [
        probe.evidence([each.export() for each in own if each.certificate.authority == authority])
        for probe, own in _by_probe(observed)
    ]
    if not found:
        return Cell("none seen", tuple(seen), "unknown")
    first, title, remedy = found[0].days, found[0].title(), _remedy(observed, found[0])
    if first is None:
        return Cell(f"{title} cannot be read", tuple(seen), "bad")
    if first < 0:
        gone = sum(each.days is not None and each.days < 0 for each in found)
        value = f"{gone} of {len(found)} expired; first {title}, {-first} days ago: {remedy}"
        return Cell(value, tuple(seen), "bad")
    if first < SOON:
        soon = sum(each.days is not None and each.days < SOON for each in found)
        value = f"{soon} of {len(found)} expire within {SOON} days; first {title}, in {first} days: {remedy}"
        return Cell(value, tuple(seen), "warning")
    value = (
        f"{len(found)}; first to expire {title}, in {first} days"
        if len(found) > 1
        else f"{title} expires in {first} days"
    )
    return Cell(value, tuple(seen), "good")
