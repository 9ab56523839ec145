"""The units of a node that lead the address of Pod Identity's agent to the lab."""

from __future__ import annotations

from lab.constants import FABRIC, METADATA_PORT

#: The agent's address on each node, of those at which SDKs take credentials without TLS.
AGENT = "169.254.170.23"
UNIT = "pod-identity-agent"


def units() -> dict[str, bytes]:
    """Returns systemd units of a node by name: the agent's address, and the way from there."""
    socket = f"""[Unit]
Description=Stand-in for EKS Pod Identity's agent

[Socket]
ListenStream={AGENT}:80
FreeBind=yes
ExecStartPre=/bin/ip address replace {AGENT}/32 dev lo
"""
    service = f"""[Unit]
Description=Stand-in for EKS Pod Identity's agent

[Service]
ExecStart=/lib/systemd/systemd-socket-proxyd {FABRIC}:{METADATA_PORT}
"""
    return {f"{UNIT}.socket": socket.encode(), f"{UNIT}.service": service.encode()}
