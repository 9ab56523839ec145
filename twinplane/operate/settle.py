"""After a change of nodes: looking until compare finds no trouble, or the time is over."""

from __future__ import annotations

import time
from collections.abc import Collection

from twinplane import compare
from twinplane.compare.differences import Cluster
from twinplane.screen import Tell
from twinplane.stack import Stack

#: Seconds until all is well: leases of a restarted control plane are renewed within 20, controllers take them anew.
SETTLING = 180


def settled(stack: Stack, tell: Tell, besides: Collection[str] = ()) -> Cluster:
    """Looks until there is no trouble, but for the nodes and components in `besides`. Returns the last look."""
    end, said = time.monotonic() + SETTLING, tell
    tell("looking at the nodes again")
    while True:
        cluster = compare.look(stack.name, stack.outputs(), stack.environment, said)
        left, remaining = troubles(cluster, besides), end - time.monotonic()
        if not left or remaining < 0:
            return cluster
        tell(f"waiting for {'; '.join(left)} ({remaining:.0f} s left)")
        said = _silent  # The same lines at every look tell nothing.
        time.sleep(3)


def troubles(cluster: Cluster, besides: Collection[str] = ()) -> list[str]:
    """Returns what compare says does not work, but for the nodes and components in `besides`."""
    return [line for line in cluster.troubles() if subject(line) not in besides]


def subject(trouble: str) -> str:
    """Returns the node or component that a line of compare is about: "STACK: NAME: ..."."""
    return trouble.split(": ")[1]


def _silent(_: str) -> None: ...
