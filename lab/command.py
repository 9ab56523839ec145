"""The verbs `twinplane lab ...`, and what stacks of the lab are given."""

from __future__ import annotations

import json
import shlex
from concurrent.futures import ThreadPoolExecutor

import typer

from twinplane.command import MANAGED, SELF_MANAGED, Json, find_stack, show, show_comparison, show_json
from twinplane.console import Tell, out, working

#: Seconds. The kubelet reports a new etcd healthy 20 s after its start: kubeadm's startup probe asks every 10 s.
SETTLING = 60

lab = typer.Typer(help="The lab: a small cloud on this machine.", no_args_is_help=True)


def add(app: typer.Typer) -> None:
    """Adds the verbs to the command."""
    app.add_typer(lab, name="lab")


def environment_of(endpoint: str) -> dict[str, str] | None:
    """Returns the environment of those who call the lab; None for another endpoint. Raises UsageError when the lab is
    not up."""
    from lab import constants, environment

    return environment.environment() if endpoint == constants.API_URL else None


@lab.command()
def prepare(as_json: Json = False) -> None:
    """Get everything that `lab up` needs: Debian packages, tools, host images. What is there is kept."""
    from lab import lifecycle

    with working("preparing the lab") as tell:
        lifecycle.prepare(tell)
    show(as_json, {"prepared": True}, "lab: prepared")


@lab.command()
def up(as_json: Json = False) -> None:
    """Start the lab."""
    _up()
    show(as_json, {"up": True}, 'lab: up; `eval "$(twinplane lab env)"` points pulumi and aws at it')


@lab.command()
def down(as_json: Json = False) -> None:
    """Remove every host, process, mount, link and route of the lab, and its state."""
    from lab import lifecycle

    with working("removing the lab") as tell:
        lifecycle.down(tell)
    show(as_json, {"up": False}, "lab: gone; tools, images and packages stay in ~/.cache/twinplane")


@lab.command()
def status(as_json: Json = False) -> None:
    """What of the lab runs. Exit code 1: it is not up."""
    from lab import lifecycle

    found = lifecycle.status()
    if as_json:
        show_json(found)
    else:
        for name, value in found.items():
            out.print(f"{name}: {value if isinstance(value, str) else json.dumps(value)}", markup=False)
    if not found["ready"]:
        raise typer.Exit(1)


@lab.command()
def env(as_json: Json = False) -> None:
    """Shell lines that point pulumi, aws and kubectl at the lab: eval "$(twinplane lab env)"."""
    from lab import environment

    variables = environment.environment()
    if as_json:
        show_json(variables)
    else:
        for name, value in variables.items():
            typer.echo(f"export {name}={shlex.quote(value)}")


@lab.command()
def demo(as_json: Json = False) -> None:
    """Everything: lab, both stacks, the comparison. Run again, it changes nothing."""
    from lab.constants import BASE_RELEASE
    from lab.toolchain.tool import KUBERNETES
    from twinplane.operate.patch import RELEASE_KEY

    _up()
    managed, self_managed = find_stack(MANAGED), find_stack(SELF_MANAGED)
    if not self_managed.exists():
        self_managed.create()
    if not managed.exists():
        managed.create()
        # A patch in an earlier lab has raised it: a new lab has updates pending.
        managed.set_config(RELEASE_KEY, f"{KUBERNETES}-{BASE_RELEASE}")
    with working("pulumi up of both stacks") as tell, ThreadPoolExecutor() as pool:
        ups = [pool.submit(stack.up, _named(stack.name, tell)) for stack in (self_managed, managed)]
    for done in ups:  # Both have ended: one that failed does not leave the other half done.
        done.result()
    show_comparison(managed, self_managed, as_json, patience=SETTLING, brief=True)


def _named(name: str, tell: Tell) -> Tell:
    return lambda line: tell(f"{name}: {line}")


def _up() -> None:
    from lab import lifecycle

    with working("starting the lab") as tell:
        lifecycle.up(tell)
