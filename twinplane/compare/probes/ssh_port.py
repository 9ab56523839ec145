"""Whether an SSH server answers."""

from __future__ import annotations

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Connect, Tunnel

SSH_PORT = 22


def probe(host: str, tunnel: str = "") -> Probe[str]:
    """The greeting of an SSH server, e.g. "SSH-2.0-OpenSSH_9.2p1"; unanswered where nothing listens.

    With a `tunnel`, the region of an EC2 Instance Connect Endpoint, `host` is the id of an instance.
    """
    return Probe("ssh_port", Tunnel(host, tunnel) if tunnel else Connect(host, SSH_PORT), str)
