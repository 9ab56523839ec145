"""Names of the lab's load balancers, as lines of this machine's /etc/hosts: here, too, they lead somewhere.

The lab's own name server answers its hosts from the same lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

HOSTS = Path("/etc/hosts")
DOMAIN = ".elb."
BEGIN, END = "# twinplane: load balancers of the lab; `twinplane lab down` removes this\n", "# twinplane: end\n"


def tell(names: Mapping[str, str]) -> None:
    """Makes these names, and no others of the lab, lead to their addresses."""
    text = HOSTS.read_text()
    before, _, rest = text.partition(BEGIN)
    ours, end, after = rest.partition(END)
    if not end:  # as others may have left it: ours are the lines with names like ours
        after = "".join(line for line in ours.splitlines(keepends=True) if DOMAIN not in line)
    lines = "".join(f"{address} {name}\n" for name, address in sorted(names.items()))
    others = before + after
    others += "" if others.endswith("\n") or not lines else "\n"
    wanted = others + (f"{BEGIN}{lines}{END}" if lines else "")
    if wanted == text:
        return
    # In place: mounted, as in containers, it cannot be replaced. What others wrote is never missing from it.
    with HOSTS.open("r+") as file:
        file.write(wanted)
        file.truncate()


def known() -> dict[str, str]:
    """Returns address by name."""
    block = HOSTS.read_text().partition(BEGIN)[2].partition(END)[0]
    lines = [line.partition("#")[0].split() for line in block.splitlines()]
    return {name: address for address, *names in filter(None, lines) for name in names}
