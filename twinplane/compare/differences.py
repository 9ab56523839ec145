"""Two clusters -> what differs, aspect by aspect. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from twinplane.compare.control_plane import COMPONENTS, ETCD, RUNNING, Component
from twinplane.compare.evidence import Cell, State
from twinplane.compare.expiry import Expiry, expiries
from twinplane.compare.nodes import PENDING_UPDATES, STATUS, node_rows
from twinplane.compare.observe import Observed
from twinplane.compare.upkeep import upkeep
from twinplane.outputs import Kind

Rows = dict[str, dict[str, Cell]]


@dataclass(frozen=True)
class Cluster:
    """One cluster's side of the comparison."""

    stack: str
    kind: Kind
    endpoint: str
    #: URL of the sample app; empty where it has no load balancer.
    app: str
    #: Component -> aspect -> cell.
    components: Rows
    #: Components that run, or would, on machines of yours.
    yours: frozenset[str]
    #: Node -> aspect -> cell.
    nodes: Rows
    #: Nodes that take no new pods.
    cordoned: frozenset[str]
    #: Aspect of the whole cluster -> cell.
    upkeep: dict[str, Cell]
    #: Soonest first.
    certificates: tuple[Expiry, ...]

    @classmethod
    def from_observed(cls, observed: Observed) -> Cluster:
        """Draws the conclusions."""
        components = [Component(name, observed) for name in COMPONENTS]
        nodes = node_rows(observed)
        return cls(
            stack=observed.stack,
            kind=observed.outputs.kind,
            endpoint=observed.outputs.api_endpoint,
            app=observed.outputs.sample_app.url,
            components={component.name: component.cells() for component in components},
            yours=frozenset(component.name for component in components if component.homes),
            nodes={node.machine.name: node.cells() for node in nodes},
            cordoned=frozenset(node.machine.name for node in nodes if node.cordoned),
            upkeep=upkeep(observed),
            certificates=expiries(observed),
        )

    def found(self, state: State) -> Iterator[tuple[str, str, Cell]]:
        """Yields component, node or aspect of the cluster, what of it, and the cell that is in this state.

        Causes come before what follows from them: without etcd the API server serves nobody. Of a component only that
        it runs is judged.
        """
        first = sorted(self.components, key=lambda name: name != ETCD)
        rows = [(name, "", self.components[name][RUNNING]) for name in first]
        rows += [(name, "", cells[STATUS]) for name, cells in self.nodes.items()]
        rows += [
            (name, aspect, cell)
            for name, cells in self.nodes.items()
            for aspect, cell in cells.items()
            if aspect != STATUS
        ]
        rows += [(name, "", cell) for name, cell in self.upkeep.items()]
        yield from (row for row in rows if row[2].state == state)

    def troubles(self) -> Iterator[str]:
        """Yields what does not work: a stopped component, a node that is not Ready. Pending updates are not trouble."""
        yield from (self._line(*each) for each in self.found("bad") if each[1] != PENDING_UPDATES)

    def warnings(self) -> Iterator[str]:
        """Yields what works and will not for long, or not as well as it could."""
        yield from (self._line(*each) for each in self.found("warning"))

    def _line(self, name: str, aspect: str, cell: Cell) -> str:
        return ": ".join(filter(None, (self.stack, name, aspect, cell.value)))

    def export(self) -> dict[str, Any]:
        """As plain data, every cell with its evidence."""
        return {
            "stack": self.stack,
            "kind": self.kind,
            "endpoint": self.endpoint,
            "app": self.app,
            "components": _export(self.components),
            "nodes": _export(self.nodes),
            "upkeep": {aspect: cell.export() for aspect, cell in self.upkeep.items()},
            "certificates": [each.export() for each in self.certificates],
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

    def upkeep(self) -> dict[str, tuple[Cell | None, Cell | None]]:
        """Returns aspect -> both cells; None where a side has no such Deployment."""
        sides = self.managed.upkeep, self.self_managed.upkeep
        return {aspect: (sides[0].get(aspect), sides[1].get(aspect)) for aspect in {**sides[0], **sides[1]}}

    def troubles(self) -> list[str]:
        """What does not work on either side, one line each."""
        return [*self.managed.troubles(), *self.self_managed.troubles()]

    def warnings(self) -> list[str]:
        """What will not work for long on either side, one line each."""
        return [*self.managed.warnings(), *self.self_managed.warnings()]

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
            "warnings": self.warnings(),
        }


def _export(rows: Rows) -> dict[str, dict[str, Any]]:
    return {name: {aspect: cell.export() for aspect, cell in cells.items()} for name, cells in rows.items()}
