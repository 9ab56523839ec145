"""The comparison on one screen: what stands where, the differences that matter, and what to type next."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from twinplane.compare.control_plane import COMPONENTS
from twinplane.compare.differences import Cluster, Comparison

#: The API server stands for the whole control plane.
CONTROL_PLANE = COMPONENTS[0]
NEXT = {
    "twinplane compare": "every difference; --html FILE writes one page with the evidence",
    "twinplane patch {self_managed}": "drain, apt and reboot, node by node",
    "twinplane patch {managed}": "a newer node image: the cloud replaces the nodes",
    'eval "$(twinplane lab env)"': "then pulumi, aws and kubectl work here as on AWS (docs/concepts.md)",
    "make down": "removes everything but the cache",
}


def show(comparison: Comparison, console: Console) -> None:
    """Prints the summary, and what does not work."""
    sides = (comparison.managed, comparison.self_managed)
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("")
    for side in sides:
        table.add_column(side.stack, overflow="fold", header_style="bold")
    for title, rows in (("What stands where", _places(sides)), ("Three differences that matter", _differences(sides))):
        table.add_row(title, style="bold")
        for name, values in rows.items():
            table.add_row(f"  {name}", *values)
    console.print(table)
    console.print("The sample app", style="bold")
    for side in sides:
        console.print(f"  {side.app or f'{side.stack}: has no load balancer'}", markup=False)
    console.print("Next, after: export PATH=$PWD/.venv/bin:$PATH", style="bold", markup=False)
    names = {"managed": comparison.managed.stack, "self_managed": comparison.self_managed.stack}
    for command, effect in NEXT.items():
        console.print(f"  {command.format(**names):<34}{effect}", markup=False)
    for warning in comparison.warnings():
        console.print(f"warning: {warning}", markup=False, style="yellow")
    for trouble in comparison.troubles():
        console.print(f"trouble: {trouble}", markup=False, style="bold red")


def _places(sides: tuple[Cluster, Cluster]) -> dict[str, list[str]]:
    return {
        "control plane": [side.components[CONTROL_PLANE]["machine"].value for side in sides],
        "nodes": [side.upkeep["nodes"].value for side in sides],
    }


def _differences(sides: tuple[Cluster, Cluster]) -> dict[str, list[str]]:
    return {
        "control plane restarted by": [side.components[CONTROL_PLANE]["restarted by"].value for side in sides],
        "control plane upgraded by": [side.components[CONTROL_PLANE]["upgrade decided by"].value for side in sides],
        "nodes patched by": [
            next((cells["patched by"].value for cells in side.nodes.values()), "there is no node") for side in sides
        ],
    }
