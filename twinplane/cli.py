"""The `twinplane` command. Exit codes: 0 done, 1 failed or something does not work, 2 wrong use."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twinplane.check import Check
from twinplane.errors import Failed, UsageError
from twinplane.screen import Tell, err, out, working
from twinplane.stack import PROJECT, Stack

if TYPE_CHECKING:
    from twinplane.compare import Comparison

MANAGED, SELF_MANAGED = "managed-lab", "self-managed-lab"
#: Where the lab stacks' config sends AWS calls.
LAB = "http://127.0.0.1:4515"

app = typer.Typer(
    help="The same Kubernetes, managed and self-managed, side by side.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
lab = typer.Typer(help="The lab: a small cloud on this machine.", no_args_is_help=True)
app.add_typer(lab, name="lab")

Json = Annotated[bool, typer.Option("--json", help="The result as one JSON value.")]


def _names(incomplete: str = "") -> list[str]:
    """The stacks that this project has a config file of; what a shell completes."""
    found = (path.name.split(".")[1] for path in (PROJECT / "stacks").glob("Pulumi.*.yaml"))
    return sorted(name for name in found if name.startswith(incomplete))


Name = Annotated[
    str, typer.Argument(metavar="STACK", help="A stack of this project, e.g. managed-lab.", autocompletion=_names)
]


def main() -> None:
    """Runs a verb. Errors are one line."""
    try:
        app(prog_name="twinplane")
    except (UsageError, Failed) as error:
        err.print(f"error: {error}", markup=False, style="red")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("interrupted; run it again to go on", style="red")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if "TWINPLANE_TRACEBACK" in os.environ:
            raise
        reason = (str(error).splitlines() or [""])[0]
        line = f"error: {type(error).__name__}: {reason} (TWINPLANE_TRACEBACK=1 shows where)"
        err.print(line, markup=False, style="red")
        sys.exit(1)


@app.command()
def compare(
    managed: Annotated[
        str, typer.Argument(metavar="MANAGED", help="The managed stack.", autocompletion=_names)
    ] = MANAGED,
    self_managed: Annotated[
        str, typer.Argument(metavar="SELF_MANAGED", help="The self-managed stack.", autocompletion=_names)
    ] = SELF_MANAGED,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write one HTML page.")] = None,
) -> None:
    """What differs between a managed and a self-managed cluster, from live evidence. Exit code 1: something is down."""
    _compare(_stack(managed, ask=True), _stack(self_managed, ask=True), as_json, html)


#: Seconds. The kubelet reports a new etcd healthy 20 s after its start: kubeadm's startup probe asks every 10 s.
SETTLING = 60


def _compare(managed: Stack, self_managed: Stack, as_json: bool, html: Path | None = None) -> None:
    from twinplane.compare import report

    if html and not html.resolve().parent.is_dir():
        raise UsageError(f"--html {html}: no such folder")
    comparison = _compared(managed, self_managed)
    if html:
        html.write_text(report.html(comparison, datetime.now(UTC)))
        err.print(f"wrote {html}", markup=False)
    _show(comparison, report.show, as_json)


def _compared(managed: Stack, self_managed: Stack, patience: float = 0) -> Comparison:
    """Compares, again for `patience` seconds while a cluster that has just come up reports trouble."""
    from twinplane.compare import compare as run

    with working(f"comparing {managed.name} and {self_managed.name}") as tell:
        end = time.monotonic() + patience
        while (comparison := run(managed, self_managed, tell)).troubles() and time.monotonic() < end:
            tell("not settled yet, looking again")
            time.sleep(3)
    return comparison


def _show(comparison: Comparison, show: Callable[[Comparison, Console], None], as_json: bool) -> None:
    """Raises typer.Exit(1) where something does not work."""
    if as_json:
        _json(comparison.export())
    else:
        show(comparison, out)
    if comparison.troubles():
        raise typer.Exit(1)


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

    found = _stack(stack, ask=True)
    with working(f"patching {stack}") as tell:
        patched = run(found, tell, force, tuple(skip or ()))
    if as_json:
        _json(patched.export())
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
        found = snapshots(_stack(stack), tell)
    if as_json:
        _json([snapshot.export() for snapshot in found])
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
        saved = run(_stack(stack), tell)
    _done(as_json, saved, f"{stack}: saved {saved['id']}, revision {saved['revision']}, {saved['keys']} keys")


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

    found = _stack(stack)
    if only_drill:
        with working(f"restoring a snapshot of {stack} into a scratch etcd") as tell:
            checked = drill(found, wanted, tell)
        line = f"{checked['id']} can be restored: hash, revision {checked['revision']} and {checked['keys']} keys"
        _done(as_json, checked, f"{stack}: {line} are those that were saved ({checked['seconds']} s)")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"restore {stack}: what was written since the snapshot is gone; say --yes")
        typer.confirm(f"Take {stack} back to a snapshot? What was written since is gone.", abort=True, err=True)
    with working(f"restoring {stack}") as tell:
        done = run(found, wanted, tell)
    _done(
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

    found = _stack(stack)
    if not found.exists():
        raise UsageError(f"stack {stack}: unknown; `pulumi stack ls` shows those that exist")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"destroy {stack}: cannot be undone; say --yes")
        typer.confirm(f"Remove everything of {stack}?", abort=True, err=True)
    _credentials(found)
    with working(f"destroying {stack}") as tell:
        run(found, tell)
    _done(as_json, {"stack": stack, "destroyed": True}, f"{stack}: destroyed")


@app.command()
def doctor(
    stack: Annotated[
        str | None, typer.Argument(metavar="[STACK]", help="Is its AWS account ready for it?", autocompletion=_names)
    ] = None,
    pins: Annotated[bool, typer.Option("--pins", help="Ask every publisher for what this program pins.")] = False,
    as_json: Json = False,
) -> None:
    """What this machine has; with STACK, its AWS account; with --pins, the publishers. Exit code 1: a problem.

    An answer that could not be had is said, and is no problem by itself.
    """
    if pins and stack:
        raise UsageError("doctor: --pins is the same for all stacks; leave STACK out")
    if pins:
        from twinplane.pins import checks as ask
        from twinplane.pins import pins as all_pins

        with working("asking the publishers"):
            _checks(ask(all_pins()), as_json)
    elif stack:
        from twinplane.readiness import checks as look

        with working(f"looking at the account of {stack}"):
            _checks(look(_stack(stack)), as_json)
    else:
        from lab.doctor import checks

        _checks(list(checks()), as_json)


GOOD, BAD = {"here", "real", "there", "ok"}, {"missing", "not there", "problem"}


def _checks(found: list[Check], as_json: bool) -> None:
    """Prints a doctor's lines. Raises typer.Exit(1) where one is bad."""
    if as_json:
        _json([asdict(each) for each in found])
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


@lab.command("prepare")
def lab_prepare(as_json: Json = False) -> None:
    """Get everything that `lab up` needs: Debian packages, tools, host images. What is there is kept."""
    from lab import lab as the_lab

    with working("preparing the lab") as tell:
        the_lab.prepare(tell)
    _done(as_json, {"prepared": True}, "lab: prepared")


@lab.command("up")
def lab_up(as_json: Json = False) -> None:
    """Start the lab."""
    _up()
    _done(as_json, {"up": True}, 'lab: up; `eval "$(twinplane lab env)"` points pulumi and aws at it')


@lab.command("down")
def lab_down(as_json: Json = False) -> None:
    """Remove every host, process, mount, link and route of the lab, and its state."""
    from lab import lab as the_lab

    with working("removing the lab") as tell:
        the_lab.down(tell)
    _done(as_json, {"up": False}, "lab: gone; tools, images and packages stay in ~/.cache/twinplane")


@lab.command("status")
def lab_status(as_json: Json = False) -> None:
    """What of the lab runs. Exit code 1: it is not up."""
    from lab import lab as the_lab

    status = the_lab.status()
    if as_json:
        _json(status)
    else:
        for name, value in status.items():
            out.print(f"{name}: {value if isinstance(value, str) else json.dumps(value)}", markup=False)
    if not status["ready"]:
        raise typer.Exit(1)


@lab.command("env")
def lab_env(as_json: Json = False) -> None:
    """Shell lines that point pulumi, aws and kubectl at the lab: eval "$(twinplane lab env)"."""
    from lab.env import environment as of_lab

    environment = of_lab()
    if as_json:
        _json(environment)
    else:
        for name, value in environment.items():
            typer.echo(f"export {name}={shlex.quote(value)}")


@lab.command("demo")
def lab_demo(as_json: Json = False) -> None:
    """Everything: lab, both stacks, and the comparison on one screen. Run again, it changes nothing."""
    from lab.constants import BASE_RELEASE
    from lab.toolchain.tool import KUBERNETES
    from twinplane.compare import summary
    from twinplane.operate.patch import RELEASE_KEY

    _up()
    managed, self_managed = _stack(MANAGED), _stack(SELF_MANAGED)
    if not self_managed.exists():
        self_managed.create()
    if not managed.exists():
        managed.create()
        # A patch in an earlier lab has raised it: a new lab has updates pending.
        managed.set_config(RELEASE_KEY, f"{KUBERNETES}-{BASE_RELEASE}")
    with working("pulumi up of both stacks") as tell, ThreadPoolExecutor() as pool:
        ups = [pool.submit(stack.up, _named(stack.name, tell)) for stack in (self_managed, managed)]
    for up in ups:  # Both have ended: one that failed does not leave the other half done.
        up.result()
    _show(_compared(managed, self_managed, SETTLING), summary.show, as_json)


def _named(name: str, tell: Tell) -> Tell:
    return lambda line: tell(f"{name}: {line}")


def _up() -> None:
    from lab import lab as the_lab

    with working("starting the lab") as tell:
        the_lab.up(tell)


def _stack(name: str, *, ask: bool = False) -> Stack:
    """The stack with the environment that it needs: the lab's own for stacks that go to the lab. With `ask`, AWS has to
    take its credentials."""
    found = _found(name)
    if ask:
        _credentials(found)
    return found


def _credentials(stack: Stack) -> None:
    """Raises UsageError, of one line, where AWS takes no credentials. Where nobody answers, the verb itself says it."""
    from twinplane.aws_call import Unreached, caller

    with suppress(Unreached):
        caller(stack.environment)


def _found(name: str) -> Stack:
    stack = Stack(name)
    if not stack.file.exists():
        raise UsageError(f"stack {name}: unknown; stacks of this project: {', '.join(_names())}")
    if stack.endpoints and os.environ.get("AWS_ENDPOINT_URL", LAB) == LAB:
        from lab.env import environment as of_lab

        environment = of_lab()  # also tells when the lab is not running
        if "AWS_ENDPOINT_URL" not in os.environ:
            return Stack(name, {**os.environ, **environment})
    return Stack(name, {**os.environ, "PATH": _path(os.environ)})


def _path(environment: Mapping[str, str]) -> str:
    """PATH with this virtual environment's commands first: kubeconfigs call `aws`, pulumi calls python."""
    return os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", os.defpath)))


def _done(as_json: bool, value: Any, line: str) -> None:
    if as_json:
        _json(value)
    else:
        out.print(line, markup=False)


def _json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))
