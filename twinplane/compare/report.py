"""The comparison as tables on a terminal, as plain lines elsewhere, and as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from twinplane.compare import control_plane
from twinplane.compare.differences import Cluster, Comparison
from twinplane.compare.evidence import Cell, State
from twinplane.compare.nodes import NODES, PENDING_UPDATES, STATUS
from twinplane.compare.upkeep import UPKEEP

COLOURS: dict[State, str] = {"plain": "", "good": "green", "warning": "yellow", "bad": "bold red", "unknown": "dim"}


def show(comparison: Comparison, console: Console) -> None:
    """Tables where somebody looks, lines where a program or a log does."""
    if console.is_terminal:
        console.print(tables(comparison))
    else:
        for line in lines(comparison):
            console.print(line, markup=False)


def lines(comparison: Comparison) -> Iterator[str]:
    """One line per cell: easy to grep and to diff."""
    for difference in comparison.differences():
        yield f"{difference.component}: {difference.aspect}: managed: {difference.managed.value}"
        yield f"{difference.component}: {difference.aspect}: self-managed: {difference.self_managed.value}"
    for cluster in (comparison.managed, comparison.self_managed):
        for aspect, cell in cluster.upkeep.items():
            yield f"{cluster.stack}: {aspect}: {cell.value}"
        for name, cells in cluster.nodes.items():
            for aspect, cell in cells.items():
                yield f"{cluster.stack}: {name}: {aspect}: {cell.value}"
    for warning in comparison.warnings():
        yield f"warning: {warning}"
    for trouble in comparison.troubles():
        yield f"trouble: {trouble}"


def tables(comparison: Comparison) -> RenderableType:
    """The control plane by component, its ownership, each cluster's upkeep and nodes, and what is wrong."""
    return Group(
        *(_components(comparison, section) for section in dict.fromkeys(row.section for row in control_plane.ROWS)),
        _upkeep(comparison),
        _nodes(comparison.managed),
        _nodes(comparison.self_managed),
        *(Text(f"! {warning}", style=COLOURS["warning"]) for warning in comparison.warnings()),
        *(Text(f"✗ {trouble}", style=COLOURS["bad"]) for trouble in comparison.troubles()),
    )


def _components(comparison: Comparison, section: str) -> Table:
    aspects = {row.aspect for row in control_plane.ROWS if row.section == section}
    table = Table(title=section, title_justify="left", title_style="bold", expand=True)
    table.add_column("component", style="bold", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column(f"managed: {comparison.managed.stack}", ratio=1)
    table.add_column(f"self-managed: {comparison.self_managed.stack}", ratio=1)
    last = ""
    for each in comparison.differences():
        if each.aspect not in aspects:
            continue
        if last and each.component != last:
            table.add_section()
        name = each.component if each.component != last else ""
        table.add_row(name, each.aspect, _text(each.managed), _text(each.self_managed))
        last = each.component
    return table


def _upkeep(comparison: Comparison) -> Table:
    table = Table(title=UPKEEP, title_justify="left", title_style="bold", expand=True)
    table.add_column("", no_wrap=True)
    for cluster in (comparison.managed, comparison.self_managed):
        table.add_column(f"{cluster.kind}: {cluster.stack}", ratio=1)
    for aspect, cells in comparison.upkeep().items():
        table.add_row(aspect, *(_text(cell) if cell else "" for cell in cells))
    return table


def _nodes(cluster: Cluster) -> Table:
    table = Table(title=f"{NODES}: {cluster.stack}", title_justify="left", title_style="bold", expand=True)
    table.add_column("", no_wrap=True)
    for name in cluster.nodes:
        table.add_column(name, ratio=1)
    for aspect in next(iter(cluster.nodes.values()), {}):
        table.add_row(aspect, *(_text(cells[aspect]) for cells in cluster.nodes.values()))
    return table


def _text(cell: Cell) -> Text:
    return Text(cell.value, style=COLOURS[cell.state])


def html(comparison: Comparison, time: datetime) -> str:
    """One page that needs nothing else: styles and drawing inside, evidence behind every cell."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = _plain
    return environment.get_template("page.html.j2").render(
        comparison=comparison,
        components=list(comparison.managed.components),
        aspects=[row.aspect for row in control_plane.ROWS],
        running=control_plane.RUNNING,
        status=STATUS,
        pending=PENDING_UPDATES,
        sides=(comparison.managed, comparison.self_managed),
        time=time.isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC"),
    )


def _plain(answer: Any) -> str:
    """An answer as JSON text; what the processed facts hold besides JSON are records and times."""
    return json.dumps(answer, default=lambda value: str(value) if isinstance(value, datetime) else asdict(value))
