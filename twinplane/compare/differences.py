"""Two clusters -> what differs, aspect by aspect. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stacks.outputs import Kind
from twinplane.compare.components import COMPONENTS, Component
from twinplane.compare.evidence import Cell
from twinplane.compare.nodes import node_rows
from twinplane.compare.observe import Observed

Rows = dict[str, dict[str, Cell]]


@dataclass(frozen=True)
class Cluster:
    """One cluster's side of the comparison."""

    stack: str
    kind: Kind
    endpoint: str
    #: Component -> aspect -> cell.
    components: Rows
    #: Node -> aspect -> cell.
    nodes: Rows

    @classmethod
    def from_observed(cls, observed: Observed) -> Cluster:
        """Draws the conclusions."""
        return cls(
            stack=observed.stack,
            kind=observed.outputs.kind,
            endpoint=observed.outputs.api_endpoint,
            components={name: Component(name, observed).cells() for name in COMPONENTS},
            nodes=node_rows(observed),
        )

    def troubles(self) -> Iterator[str]:
        """What does not work: a stopped component, a node that is not Ready. Pending updates are not trouble."""
        for rows, aspect in ((self.components, "running"), (self.nodes, "status")):
            for name, cells in rows.items():
                if cells[aspect].state == "bad":
                    yield f"{self.stack}: {name}: {cells[aspect].value}"

    def export(self) -> dict[str, Any]:
        """As plain data, every cell with its evidence."""
        return {
            "stack": self.stack,
            "kind": self.kind,
            "endpoint": self.endpoint,
            "components": _export(self.components),
            "nodes": _export(self.nodes),
        }


@dataclass(frozen=True)
class Difference:
    """One aspect of one component on both sides."""

    component: str
    aspect: str
    managed: Cell
    self_managed: Cell

    @property
    def differs(self) -> bool:
        """The two answers are not the same."""
        return self.managed.value != self.self_managed.value


@dataclass(frozen=True)
class Comparison:
    """The managed and the self-managed cluster, side by side."""

    managed: Cluster
    self_managed: Cluster

    def differences(self) -> Iterator[Difference]:
        """Every component and aspect, in the order of the report."""
        for component, cells in self.managed.components.items():
            for aspect, cell in cells.items():
                yield Difference(component, aspect, cell, self.self_managed.components[component][aspect])

    def troubles(self) -> list[str]:
        """What does not work on either side, one line each."""
        return [*self.managed.troubles(), *self.self_managed.troubles()]

    def export(self) -> dict[str, Any]:
        """As plain data, for `--json`."""
        return {
            "managed": self.managed.export(),
            "selfManaged": self.self_managed.export(),
            "differences": [
                {
                    "component": each.component,
                    "aspect": each.aspect,
                    "managed": each.managed.value,
                    "selfManaged": each.self_managed.value,
                    "differs": each.differs,
                }
                for each in self.differences()
            ],
            "troubles": self.troubles(),
        }


def _export(rows: Rows) -> dict[str, dict[str, Any]]:
    return {name: {aspect: cell.export() for aspect, cell in cells.items()} for name, cells in rows.items()}
