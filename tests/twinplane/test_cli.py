"""What people type: verbs, exit codes, one-line errors."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from doctor import command as doctor_command
from doctor import machine
from lab import command as lab_command
from lab import constants
from tests import GOLDEN
from tests.support.compare_cases import cluster, without_scheduler
from twinplane import cli, command, compare, stack
from twinplane.compare.differences import Comparison
from twinplane.errors import Failed, UsageError
from twinplane.live import tunnel
from twinplane.operate import destroy, patch
from twinplane.operate.load import Measured
from twinplane.operate.patch import Patched


@pytest.fixture(autouse=True)
def _lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after eval "$(twinplane lab env)": no test asks whether a lab runs, nor AWS who one is."""
    monkeypatch.setattr(command, "credentials", lambda _: None)
    monkeypatch.setattr(cli, "credentials", lambda _: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for module in (cli, command, doctor_command, lab_command):
        monkeypatch.setattr(module, "out", Console(soft_wrap=True, highlight=False))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, arguments)


def end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException) -> tuple[int, str]:
    """Returns exit code and standard error of a verb that ends in `error`."""

    def fail(prog_name: str) -> None:
        assert prog_name == "twinplane", "what a shell completes"
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(str(caught.value.code)), capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("stack x: unknown"), 2, "error: stack x: unknown\n"),
        (Failed("pulumi up -s x: boom [/red]"), 1, "error: pulumi up -s x: boom [/red]\n"),
        (KeyboardInterrupt(), 130, "interrupted; run it again to go on\n"),
        (ValueError("odd\nmore"), 1, "error: ValueError: odd (TWINPLANE_TRACEBACK=1 shows where)\n"),
    ],
)
def test_every_error_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    monkeypatch.setattr(cli, "err", Console(stderr=True, soft_wrap=True))
    assert end(monkeypatch, capsys, error) == (code, line)


def test_wrong_use_of_the_command_line_is_exit_code_2() -> None:
    assert run("bogus").exit_code == 2
    assert run("patch").exit_code == 2


@pytest.mark.parametrize("verb", [("patch", "nope"), ("destroy", "nope"), ("compare", "nope", "self-managed-lab")])
def test_an_unknown_stack_lists_the_known_ones(verb: tuple[str, ...]) -> None:
    error = run(*verb).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith("stack nope: unknown; stacks of this project: ha-lab, managed, managed-lab, self-")


def test_compare_prints_lines_and_fails_when_something_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Comparison(cluster("managed"), cluster("self-managed"))
    monkeypatch.setattr(compare, "compare", lambda *_: good)
    done = run("compare")
    assert done.exit_code == 0
    assert "etcd: SSH: self-managed: yes: admin@198.18.64.10" in done.output
    bad = Comparison(cluster("managed"), cluster("self-managed", without_scheduler))
    monkeypatch.setattr(compare, "compare", lambda *_: bad)
    done = run("compare")
    assert done.exit_code == 1
    assert "trouble: self-managed-lab: kube-scheduler: stopped" in done.output


def test_compare_json_is_json_and_html_goes_to_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def fake(managed: stack.Stack, self_managed: stack.Stack, _: Any) -> Comparison:
        asked.extend((managed.name, self_managed.name))
        return Comparison(cluster("managed"), cluster("self-managed"))

    monkeypatch.setattr(compare, "compare", fake)
    page = tmp_path / "page.html"
    done = run("compare", "--json", "--html", str(page))
    assert json.loads(done.stdout)["managed"]["stack"] == "managed-lab"
    assert asked == ["managed-lab", "self-managed-lab"]
    assert page.read_text().startswith("<!doctype html>")


def test_compare_does_not_start_for_a_file_that_it_could_not_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "compare", lambda *_: pytest.fail("asked"))
    assert "no such folder" in str(run("compare", "--html", "/nowhere/page.html").exception)


@pytest.mark.parametrize(
    "kinds", [("managed", "managed"), ("self-managed", "self-managed"), ("self-managed", "managed")]
)
def test_compare_of_the_wrong_kinds_is_wrong_use(monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, str]) -> None:
    found = {kind: json.loads((GOLDEN / f"compare/{kind}.json").read_text()) for kind in kinds}
    names = {f"{number}": kind for number, kind in enumerate(kinds)}
    monkeypatch.setattr(
        stack.Stack,
        "outputs",
        lambda each: stack.StackOutputs.from_exports(found[names[each.name]]["outputs"]),
    )
    with pytest.raises(UsageError, match="name a managed stack, then a self-managed one"):
        compare.compare(stack.Stack("0", {}), stack.Stack("1", {}), lambda _: None)


def test_patch_shows_the_load_and_the_nodes_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = Patched("managed-lab", {"a": "1"}, {"b": "2"}, Measured(10, 1, 0.5))
    monkeypatch.setattr(patch, "patch", lambda *_: patched)
    done = run("patch", "managed-lab")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-3:] == [
        "before: a: 1",
        "after: b: 2",
        "load: 10 requests, 1 failed, longest gap 0.5 s",
    ]
    assert json.loads(run("patch", "managed-lab", "--json").stdout)["load"] == {"requests": 10, "failed": 1, "gap": 0.5}


def test_patch_with_nothing_to_do_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch, "patch", lambda *_: Patched("managed-lab", {}, {}, None))
    done = run("patch", "managed-lab")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "managed-lab: nothing to do, every node is up to date"


def test_patch_tells_what_is_kept_back_and_fails_for_what_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "err", Console(stderr=True, soft_wrap=True))
    given: list[Any] = []

    def patched(_: Any, __: Any, force: bool, skip: tuple[str, ...]) -> Patched:
        given.append((force, skip))
        return Patched("s", {}, {}, Measured(10, 0, 0.1), ("s: w-2: NotReady",), ("w-1: tzdata is held, stays at 1",))

    monkeypatch.setattr(patch, "patch", patched)
    done = run("patch", "self-managed-lab", "--force", "--skip", "w-1", "--skip", "w-2")
    assert given == [(True, ("w-1", "w-2"))]
    assert done.exit_code == 1
    assert "w-1: tzdata is held, stays at 1" in done.stdout.splitlines()
    assert "error: s: w-2: NotReady" in done.stderr.splitlines()
    done = run("patch", "self-managed-lab", "--json")
    assert (done.exit_code, json.loads(done.stdout)["troubles"]) == (1, ["s: w-2: NotReady"])


def test_destroy_asks_and_then_destroys(monkeypatch: pytest.MonkeyPatch) -> None:
    destroyed: list[str] = []
    monkeypatch.setattr(stack.Stack, "exists", lambda _: True)
    monkeypatch.setattr(stack.Stack, "destroy", lambda each, _: destroyed.append(each.name))
    for module, name in (
        (destroy.strays, "end"),
        (destroy.protection, "lift"),
        (destroy.leftovers, "end_logs"),
        (destroy.leftovers, "check"),
    ):
        monkeypatch.setattr(module, name, lambda *_: None)
    assert "say --yes" in str(run("destroy", "managed-lab").exception)
    assert destroyed == []
    done = run("destroy", "managed-lab", "--yes", "--json")
    assert json.loads(done.stdout) == {"stack": "managed-lab", "destroyed": True}
    assert destroyed == ["managed-lab"]
    monkeypatch.setattr(stack.Stack, "exists", lambda _: False)
    assert "unknown" in str(run("destroy", "managed-lab", "--yes").exception)


def test_a_lab_stack_gets_the_labs_environment_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import environment

    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setattr(environment, "environment", lambda: {"AWS_ENDPOINT_URL": "http://lab"})
    assert command.find_stack("managed-lab").environment["AWS_ENDPOINT_URL"] == "http://lab"
    assert "AWS_ENDPOINT_URL" not in command.find_stack("managed").environment


def test_a_lab_that_does_not_run_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import daemon_control

    monkeypatch.setattr(daemon_control, "health", lambda: None)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert "the lab is not running" in str(run("compare").exception)
    monkeypatch.setenv("AWS_ENDPOINT_URL", constants.API_URL)
    assert "the lab is not running" in str(run("compare").exception)
    assert "the lab is not running" in str(run("lab", "env").exception)


def test_lab_env_is_quoted_for_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import environment

    monkeypatch.setattr(environment, "environment", lambda: {"A": "x y", "B": "it's"})
    assert run("lab", "env").stdout == "export A='x y'\nexport B='it'\"'\"'s'\n"
    assert json.loads(run("lab", "env", "--json").stdout) == {"A": "x y", "B": "it's"}


def test_the_commands_of_this_environment_come_first() -> None:
    path = command.find_stack("managed").environment["PATH"].split(os.pathsep)
    assert path[0] == str(Path(sys.executable).parent)


def test_doctor_tells_all_and_fails_when_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import doctor

    checks = [doctor.Check("root", "here", "uid 0"), doctor.Check("EKS", "stand-in", "the lab's own")]
    monkeypatch.setattr(machine, "checks", lambda: iter(()))
    monkeypatch.setattr(doctor_command, "extensions", lambda _: [lambda: iter(checks)])
    done = run("doctor")
    assert (done.exit_code, done.stdout) == (0, "here: root: uid 0\nstand-in: EKS: the lab's own\n")
    checks.append(doctor.Check("etcd", "missing", "not built", "make setup"))
    done = run("doctor")
    assert done.exit_code == 1
    assert "missing: etcd: not built; make setup" in done.stdout
    assert json.loads(run("doctor", "--json").stdout)[2]["advice"] == "make setup"


@pytest.mark.parametrize(("refused", "told"), [("no such file", "its queue (no such file)"), ("", "has a queue")])
def test_doctor_asks_the_kernel_what_becomes_of_network_policies(
    monkeypatch: pytest.MonkeyPatch, refused: str, told: str
) -> None:
    from lab import doctor

    monkeypatch.setattr(doctor.nftables, "refuses", lambda *_: refused)
    [found] = [each for each in doctor.checks() if each.name == "NetworkPolicy"]
    assert found.state == "stand-in"
    assert told in found.detail


def test_doctor_looks_at_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import doctor

    def no_tunnels() -> str:
        raise UsageError("too old")

    monkeypatch.setattr(tunnel, "program", no_tunnels)

    found = {each.name: each for each in (*machine.checks(), *doctor.checks())}
    assert found["Python 3.11"].state == "here"
    assert found["EKS"].state == "stand-in"
    assert {"pulumi", "kubelet", "disk", "pulumi-resource-aws"} <= found.keys()
    assert "for SSH to private machines on AWS: none, install version 2.12.0 or newer" in found["aws"].detail
    assert all(each.advice for each in found.values() if each.state == "missing")


class Recorder:
    """A stack of the demo that does not exist until it is created."""

    def __init__(self, name: str, done: list[str], there: bool) -> None:
        self.name, self.done, self.there = name, done, there

    def exists(self) -> bool:
        return self.there

    def create(self) -> None:
        self.done.append(f"create {self.name}")

    def set_config(self, key: str, value: str) -> None:
        self.done.append(f"set {self.name} {key}={value}")

    def up(self, _: Any) -> None:
        self.done.append(f"up {self.name}")


@pytest.mark.parametrize("there", [False, True])
def test_demo_makes_what_is_missing_and_compares(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    from lab import lifecycle

    done: list[str] = []
    monkeypatch.setattr(lifecycle, "up", lambda _: done.append("lab"))
    monkeypatch.setattr(lab_command, "find_stack", lambda name: Recorder(name, done, there))
    monkeypatch.setattr(
        lab_command, "show_comparison", lambda a, b, *_, **__: done.append(f"compare {a.name} {b.name}")
    )
    assert run("lab", "demo").exit_code == 0
    created = [
        "create managed-lab",
        "create self-managed-lab",
        "set managed-lab nodeReleaseVersion=1.36.3-20260901",
    ]
    assert sorted(step for step in done if step.startswith(("create", "set"))) == ([] if there else created)
    assert done[0] == "lab"
    assert {"up managed-lab", "up self-managed-lab"} < set(done)
    assert done[-1] == "compare managed-lab self-managed-lab"
