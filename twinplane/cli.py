"""The `twinplane` command. Exit codes: 0 done, 1 failed or something does not work, 2 wrong use."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from twinplane.command import (
    MANAGED,
    SELF_MANAGED,
    Json,
    Name,
    credentials,
    find_stack,
    names,
    show,
    show_comparison,
    show_json,
)
from twinplane.console import err, out, working
from twinplane.errors import UsageError
from twinplane.extensions import extensions

app = typer.Typer(
    help="The same Kubernetes, managed and self-managed, side by side.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Runs a verb. Errors are one line."""
    try:
        app(prog_name="twinplane")
    except KeyboardInterrupt:
        err.print("interrupted; run it again to go on", style="red")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if code := getattr(error, "exit_code", None):  # of whichever distribution: it is for the person who typed
            err.print(f"error: {error}", markup=False, style="red")
            sys.exit(code)
        if "TWINPLANE_TRACEBACK" in os.environ:
            raise
        reason = (str(error).splitlines() or [""])[0]
        line = f"error: {type(error).__name__}: {reason} (TWINPLANE_TRACEBACK=1 shows where)"
        err.print(line, markup=False, style="red")
        sys.exit(1)


@app.command()
def compare(
    managed: Annotated[
        str, typer.Argument(metavar="MANAGED", help="The managed stack.", autocompletion=names)
    ] = MANAGED,
    self_managed: Annotated[
        str, typer.Argument(metavar="SELF_MANAGED", help="The self-managed stack.", autocompletion=names)
    ] = SELF_MANAGED,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write one HTML page.")] = None,
) -> None:
    """What differs between a managed and a self-managed cluster, from live evidence. Exit code 1: something is down."""
    show_comparison(find_stack(managed, ask=True), find_stack(self_managed, ask=True), as_json, html)


@app.command()
def patch(
    stack: Name,
    force: Annotated[bool, typer.Option("--force", help="Also while a node or the control plane is not well.")] = False,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="MACHINE", help="Leave this machine alone. Can be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Install pending updates on all nodes, one at a time, under a light load. Exit code 1 also: something is down."""
    from twinplane.operate.patch import patch as run

    found = find_stack(stack, ask=True)
    with working(f"patching {stack}") as tell:
        patched = run(found, tell, force, tuple(skip or ()))
    if as_json:
        show_json(patched.export())
    elif patched.load is None:
        out.print(f"{stack}: nothing to do, every node is up to date", markup=False)
    else:
        for title, nodes in (("before", patched.before), ("after", patched.after)):
            for name, value in nodes.items():
                out.print(f"{title}: {name}: {value}", markup=False)
        for line in (*patched.notes, str(patched.load)):
            out.print(line, markup=False)
    for line in patched.troubles:
        err.print(f"error: {line}", markup=False, style="red")
    if patched.troubles:
        raise typer.Exit(1)


@app.command()
def backups(stack: Name, as_json: Json = False) -> None:
    """List the snapshots of a self-managed stack's etcd, the newest first."""
    from twinplane.operate.backup import snapshots

    with working(f"looking at the snapshots of {stack}") as tell:
        found = snapshots(find_stack(stack), tell)
    if as_json:
        show_json([snapshot.export() for snapshot in found])
    for snapshot in () if as_json else found:
        age = (datetime.now(UTC) - snapshot.taken).total_seconds() / 3600
        out.print(
            f"{snapshot.id}: {age:.1f} h old, {snapshot.size / 2**20:.1f} MiB, revision {snapshot.revision}, "
            f"{snapshot.keys} keys",
            markup=False,
        )
    if not found and not as_json:
        out.print(f"{stack}: no snapshots yet; `twinplane backup {stack}` takes one", markup=False)


@app.command()
def backup(stack: Name, as_json: Json = False) -> None:
    """Save a self-managed stack's etcd now, encrypted, to its bucket; machines do so by themselves, too."""
    from twinplane.operate.backup import backup as run

    with working(f"saving etcd of {stack}") as tell:
        saved = run(find_stack(stack), tell)
    show(as_json, saved, f"{stack}: saved {saved['id']}, revision {saved['revision']}, {saved['keys']} keys")


@app.command()
def restore(
    stack: Name,
    wanted: Annotated[str, typer.Option("--from", metavar="ID", help="Which snapshot; else the newest.")] = "",
    only_drill: Annotated[
        bool, typer.Option("--drill", help="Restore into an etcd beside the living one, compare, and leave no trace.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take a self-managed stack's cluster back to a snapshot of etcd. What was written since is gone."""
    from twinplane.operate.backup import drill
    from twinplane.operate.backup import restore as run

    found = find_stack(stack)
    if only_drill:
        with working(f"restoring a snapshot of {stack} into a scratch etcd") as tell:
            checked = drill(found, wanted, tell)
        line = f"{checked['id']} can be restored: hash, revision {checked['revision']} and {checked['keys']} keys"
        show(as_json, checked, f"{stack}: {line} are those that were saved ({checked['seconds']} s)")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"restore {stack}: what was written since the snapshot is gone; say --yes")
        typer.confirm(f"Take {stack} back to a snapshot? What was written since is gone.", abort=True, err=True)
    with working(f"restoring {stack}") as tell:
        done = run(found, wanted, tell)
    show(
        as_json,
        done,
        f"{stack}: restored {done['id']} in {done['seconds']} s; `pulumi up -s {stack}` brings back what is newer",
    )


@app.command()
def destroy(
    stack: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove all that a stack made, even where its cluster is gone already. Exit code 1 also: AWS has some left."""
    from twinplane.operate.destroy import destroy as run

    found = find_stack(stack)
    if not found.exists():
        raise UsageError(f"stack {stack}: unknown; `pulumi stack ls` shows those that exist")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"destroy {stack}: cannot be undone; say --yes")
        typer.confirm(f"Remove everything of {stack}?", abort=True, err=True)
    credentials(found)
    with working(f"destroying {stack}") as tell:
        run(found, tell)
    show(as_json, {"stack": stack, "destroyed": True}, f"{stack}: destroyed")


for add in extensions("twinplane.verbs"):
    add(app)
