"""The verb `twinplane doctor`."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from twinplane.check import Check
from twinplane.command import Json, find_stack, names, show_json
from twinplane.console import out, working
from twinplane.errors import UsageError
from twinplane.extensions import extensions

GOOD, BAD = {"here", "real", "there", "ok"}, {"missing", "not there", "problem"}


def add(app: typer.Typer) -> None:
    """Adds the verb to the command."""
    app.command()(doctor)


def doctor(
    name: Annotated[
        str | None, typer.Argument(metavar="[STACK]", help="Is its AWS account ready for it?", autocompletion=names)
    ] = None,
    pins: Annotated[bool, typer.Option("--pins", help="Ask every publisher for what this program pins.")] = False,
    as_json: Json = False,
) -> None:
    """What this machine has; with STACK, its AWS account; with --pins, the publishers. Exit code 1: a problem.

    An answer that could not be had is said, and is no problem by itself.
    """
    if pins and name:
        raise UsageError("doctor: --pins is the same for all stacks; leave STACK out")
    if pins:
        from doctor.pins import checks as ask
        from doctor.pins import pins as all_pins

        with working("asking the publishers"):
            _show(ask(all_pins()), as_json)
    elif name:
        from doctor.readiness import checks as look

        with working(f"looking at the account of {name}"):
            _show(look(find_stack(name)), as_json)
    else:
        from doctor import machine

        others = (checks() for checks in extensions("twinplane.checks"))
        _show([*machine.checks(), *chain.from_iterable(others)], as_json)


def _show(found: list[Check], as_json: bool) -> None:
    """Prints the checks. Raises typer.Exit(1) where one is bad."""
    if as_json:
        show_json([asdict(each) for each in found])
    elif out.is_terminal:
        table = Table(expand=True)
        for column in ("", "state", "what it is", "what to do"):
            table.add_column(column, overflow="fold")
        for each in found:
            colour = "green" if each.state in GOOD else "bold red" if each.state in BAD else "yellow"
            table.add_row(each.name, Text(each.state, style=colour), each.detail, each.advice)
        out.print(table)
    else:
        for each in found:
            advice = f"; {each.advice}" if each.advice else ""
            out.print(f"{each.state}: {each.name}: {each.detail}{advice}", markup=False)
    if any(each.state in BAD for each in found):
        raise typer.Exit(1)
