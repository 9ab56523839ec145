"""What the verbs share: their options, a stack by its name, and how results are shown."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from twinplane.console import err, out, working
from twinplane.errors import UsageError
from twinplane.extensions import extensions
from twinplane.stack import PROJECT, Stack

#: The stacks that are compared where none are named.
MANAGED, SELF_MANAGED = "managed-lab", "self-managed-lab"

Json = Annotated[bool, typer.Option("--json", help="The result as one JSON value.")]


def names(incomplete: str = "") -> list[str]:
    """Returns the stacks that this project has a config file of; what a shell completes."""
    found = (path.name.split(".")[1] for path in (PROJECT / "stacks").glob("Pulumi.*.yaml"))
    return sorted(name for name in found if name.startswith(incomplete))


Name = Annotated[
    str, typer.Argument(metavar="STACK", help="A stack of this project, e.g. managed-lab.", autocompletion=names)
]


def find_stack(name: str, *, ask: bool = False) -> Stack:
    """Returns the stack with the environment that it needs. With `ask`, AWS has to take its credentials."""
    found = _found(name)
    if ask:
        credentials(found)
    return found


def credentials(stack: Stack) -> None:
    """Raises UsageError, of one line, where AWS takes no credentials. Where nobody answers, the verb itself says it."""
    from twinplane.live.aws_call import caller
    from twinplane.live.unanswered import Unreached

    with suppress(Unreached):
        caller(stack.environment)


def _found(name: str) -> Stack:
    stack = Stack(name)
    if not stack.file.exists():
        raise UsageError(f"stack {name}: unknown; stacks of this project: {', '.join(names())}")
    given = os.environ.get("AWS_ENDPOINT_URL")
    for environment in extensions("twinplane.environments") if stack.endpoint else ():
        # Asked also where the shell has the environment already: it tells when nothing answers there.
        variables = environment(given or stack.endpoint)
        if variables is not None and given is None:
            return Stack(name, {**os.environ, **variables})
    return Stack(name, {**os.environ, "PATH": _path(os.environ)})


def _path(environment: Mapping[str, str]) -> str:
    """Returns PATH with this virtual environment's commands first: kubeconfigs call `aws`, pulumi calls python."""
    return os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", os.defpath)))


def show_comparison(
    managed: Stack,
    self_managed: Stack,
    as_json: bool,
    html: Path | None = None,
    *,
    patience: float = 0,
    brief: bool = False,
) -> None:
    """Compares, again for `patience` seconds while a cluster that has just come up reports trouble. Raises
    typer.Exit(1) where the trouble stays. `brief`: what is printed fits one screen."""
    from twinplane.compare import compare, report, summary

    if html and not html.resolve().parent.is_dir():
        raise UsageError(f"--html {html}: no such folder")
    with working(f"comparing {managed.name} and {self_managed.name}") as tell:
        end = time.monotonic() + patience
        while (comparison := compare(managed, self_managed, tell)).troubles() and time.monotonic() < end:
            tell("not settled yet, looking again")
            time.sleep(3)
    if html:
        html.write_text(report.html(comparison, datetime.now(UTC)))
        err.print(f"wrote {html}", markup=False)
    if as_json:
        show_json(comparison.export())
    else:
        (summary if brief else report).show(comparison, out)
    if comparison.troubles():
        raise typer.Exit(1)


def show(as_json: bool, value: Any, line: str) -> None:
    """Shows a result: the value as JSON, or the line."""
    if as_json:
        show_json(value)
    else:
        out.print(line, markup=False)


def show_json(value: Any) -> None:
    """Shows one JSON value."""
    typer.echo(json.dumps(value, indent=2, default=str))
