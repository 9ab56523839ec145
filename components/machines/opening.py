"""Opening: ports that machines of a self-managed cluster reach each other by, or people them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Opening:
    """Ports of one protocol."""

    purpose: str
    protocol: str
    first: int
    last: int

    @property
    def ports(self) -> dict[str, Any]:
        """As the rules of security groups take them."""
        ports = {} if self.protocol == "-1" else {"from_port": self.first, "to_port": self.last}
        return {"ip_protocol": self.protocol, **ports}


SSH = Opening("ssh", "tcp", 22, 22)
API = Opening("api", "tcp", 6443, 6443)
ETCD = Opening("etcd", "tcp", 2379, 2380)
#: Ports of https://kubernetes.io/docs/reference/networking/ports-and-protocols/, and of the pod network.
KUBELET = Opening("kubelet", "tcp", 10250, 10250)
VXLAN = Opening("vxlan", "udp", 4789, 4789)
NODE_PORTS = Opening("node-ports", "tcp", 30000, 32767)
#: A machine's group is its pods', too: it cannot tell their ports from the machine's.
PODS = Opening("pods", "-1", 0, 0)
