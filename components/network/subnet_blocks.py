"""How a VPC's block is divided among its subnets."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True)
class SubnetBlocks:
    """One block a zone, in the order of the zones."""

    public: tuple[IPv4Network, ...]
    private: tuple[IPv4Network, ...]


def subnet_blocks(cidr: IPv4Network, zones: int) -> SubnetBlocks:
    """Eighths of the block: the first half is public, the second private. One more zone (of 4) moves no block."""
    eighths = list(cidr.subnets(prefixlen_diff=3))
    return SubnetBlocks(public=tuple(eighths[:zones]), private=tuple(eighths[4 : 4 + zones]))
