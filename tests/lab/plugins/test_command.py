"""The command plugin: what runs, what it prints, what stays secret, what makes a new resource."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lab.plugins import command
from lab.plugins.command import Commands
from lab.plugins.provider import Change, Invalid, ProviderError, Resource
from lab.plugins.values import UNKNOWN, Secret, known

RESOURCE = Resource("urn:pulumi:s::p::command:local:Command::build", "command:local:Command", "build")


class Log:
    """What the engine's log would have got."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, urn: str, message: str, severity: str = "INFO", *, ephemeral: bool = False) -> None:
        assert urn == RESOURCE.urn
        assert severity == "INFO"
        assert not ephemeral
        self.lines.append(message)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def commands(log: Log) -> Commands:
    return Commands(log)  # type: ignore[arg-type]


def change(**parts: Any) -> Change:
    return Change(RESOURCE, **parts)


def create(commands: Commands, **inputs: Any) -> dict[str, Any]:
    return commands.create(change(inputs=inputs))[1]


def test_create_gives_inputs_and_what_was_printed(commands: Commands, log: Log) -> None:
    resource_id, outputs = commands.create(change(inputs={"create": "echo out; echo err >&2; echo more"}))
    assert resource_id.startswith("build")
    assert outputs == {"create": "echo out; echo err >&2; echo more", "stdout": "out\nmore", "stderr": "err"}
    assert sorted(log.lines) == ["err", "more", "out"]


def test_surroundings(commands: Commands, tmp_path: Path) -> None:
    outputs = create(
        commands,
        create='printf "%s %s " "$GREETING" "$PWD"; cat',
        environment={"GREETING": "hello"},
        dir=str(tmp_path),
        stdin="input",
        interpreter=["/bin/bash", "-c"],
    )
    assert outputs["stdout"] == f"hello {tmp_path} input"


def test_a_command_need_not_read_its_input(commands: Commands) -> None:
    assert create(commands, create="true", stdin="x" * 1_000_000)["stdout"] == ""


@pytest.mark.parametrize(
    ("logging", "lines"), [("stdout", ["out"]), ("stderr", ["err"]), ("none", []), ("stdoutAndStderr", ["err", "out"])]
)
def test_logging_chooses_streams(commands: Commands, log: Log, logging: str, lines: list[str]) -> None:
    assert create(commands, create="echo out; echo err >&2", logging=logging)["stdout"] == "out"
    assert sorted(log.lines) == lines


def test_update_runs_update_or_else_create_with_the_outputs_before(commands: Commands) -> None:
    state = {"stdout": "one", "stderr": ""}
    inputs = {"create": "echo created", "update": "echo $PULUMI_COMMAND_STDOUT again"}
    assert commands.update(change(inputs=inputs, state=state))["stdout"] == "one again"
    assert commands.update(change(inputs={"create": "echo created"}, state=state))["stdout"] == "created"
    inputs["addPreviousOutputInEnv"] = False  # type: ignore[assignment]
    assert commands.update(change(inputs=inputs, state=state))["stdout"] == "again"


def test_delete_runs_with_the_inputs_and_outputs_in_the_state(commands: Commands, tmp_path: Path) -> None:
    mark = tmp_path / "gone"
    state = {"delete": f'echo "$X $PULUMI_COMMAND_STDOUT" > {mark}', "environment": {"X": "1"}, "stdout": "made"}
    commands.delete(change(state=state))
    assert mark.read_text() == "1 made\n"
    commands.delete(change(state={"stdout": "made"}))


def test_with_a_secret_among_the_inputs_all_output_is_secret(commands: Commands) -> None:
    for inputs in ({"stdin": Secret("s")}, {"environment": {"S": Secret("s")}}, {"create": Secret("cat")}):
        outputs = create(commands, **{"create": "cat", **inputs})
        assert isinstance(outputs["stdout"], Secret)
        assert isinstance(outputs["stderr"], Secret)
        assert outputs | inputs == outputs, "inputs keep their marks"
    assert create(commands, create="echo plain")["stdout"] == "plain"


def test_preview_runs_nothing_and_knows_no_output(commands: Commands, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    _, outputs = commands.create(change(inputs={"create": f"touch {mark}"}, preview=True))
    assert not known(outputs["stdout"])
    assert not mark.exists()
    _, outputs = commands.create(change(inputs={"create": UNKNOWN, "stdin": Secret("s")}, preview=True))
    assert isinstance(outputs["stdout"], Secret)


def test_failure_names_command_and_code_and_leaves_no_resource(commands: Commands) -> None:
    with pytest.raises(ProviderError, match='exit status 3: running "exit 3"'):
        create(commands, create="exit 3")
    with pytest.raises(ProviderError, match="why"):
        create(commands, create="echo why >&2; exit 3", logging="none")
    with pytest.raises(ProviderError) as told:
        create(commands, create=Secret("echo hidden >&2; exit 3"), logging="none")
    assert "hidden" not in str(told.value)


def test_wrong_surroundings_are_told(commands: Commands) -> None:
    with pytest.raises(ProviderError, match="dir: /nowhere is no directory"):
        create(commands, create="true", dir="/nowhere")
    with pytest.raises(ProviderError, match="interpreter: /no/shell: No such file"):
        create(commands, create="true", interpreter=["/no/shell"])


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"creat": "x"}, "creat: unknown input"),
        ({"create": 3}, "create: must be text"),
        ({"environment": {"X": 1}}, "environment: must be a map of texts"),
        ({"triggers": "x"}, "triggers: must be a list"),
        ({"logging": "loud"}, "logging: must be one of"),
        ({"assetPaths": ["*"]}, "assetPaths: not supported"),
    ],
)
def test_check_tells_what_is_wrong(commands: Commands, inputs: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        commands.check(RESOURCE, {}, inputs, b"")


def test_check_takes_unknowns_and_secrets(commands: Commands) -> None:
    inputs = {"create": UNKNOWN, "environment": {"X": UNKNOWN}, "stdin": Secret("x"), "logging": UNKNOWN}
    assert commands.check(RESOURCE, {}, inputs, b"") is inputs


def test_other_types_are_unknown(commands: Commands) -> None:
    with pytest.raises(Invalid, match="unknown resource type command:remote:Command"):
        commands.check(Resource("u", "command:remote:Command", "n"), {}, {}, b"")


def test_triggers_make_a_new_resource_unless_update_follows_them(commands: Commands) -> None:
    old, new = {"create": "a", "triggers": [1]}, {"create": "a", "triggers": [{"x": 2}]}
    assert commands.diff(change(old_inputs=old, inputs=new)).replaces == ["triggers"]
    diff = commands.diff(change(old_inputs=old, inputs={**new, "update": "b"}))
    assert (list(diff.changed), list(diff.replaces)) == (["update", "triggers"], [])
    assert not commands.diff(change(old_inputs=old, inputs=dict(old))).changed
    secret = {**old, "stdin": Secret("x")}
    assert not commands.diff(change(old_inputs=secret, inputs=dict(secret))).changed
    assert commands.diff(change(old_inputs=secret, inputs={**old, "stdin": UNKNOWN})).changed == ["stdin"]


def test_timeout_ends_the_whole_group(commands: Commands, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    inputs = {"create": f"sleep 60 & echo $! > {pid}; wait"}
    with pytest.raises(ProviderError, match=r"did not end within 0\.5 s"):
        commands.create(change(inputs=inputs, timeout=0.5))
    assert ends(int(pid.read_text()))


def test_cancel_ends_what_runs_and_starts_nothing_more(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "GRACE", 0.2)
    pid = tmp_path / "pid"
    told: list[str] = []

    def run() -> None:
        try:
            create(commands, create=f"trap '' TERM; echo $$ > {pid}; sleep 60; sleep 60")
        except ProviderError as error:
            told.append(str(error))

    runner = threading.Thread(target=run)
    runner.start()
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.02)
    commands.cancel()
    runner.join(10)
    assert "was cancelled" in told[0]
    assert ends(int(pid.read_text()))
    with pytest.raises(ProviderError, match="before the command began"):
        create(commands, create="true")


def test_run_function(commands: Commands) -> None:
    commands.log = lambda *_, **__: None  # type: ignore[assignment]
    result = commands.invoke("command:local:run", {"command": "echo $X", "environment": {"X": "here"}})
    assert result["stdout"] == "here"
    with pytest.raises(Invalid, match="command: is required"):
        commands.invoke("command:local:run", {})


def ends(pid: int) -> bool:
    """Whether a killed process is gone: it has until the machine gets round to it."""
    deadline = time.monotonic() + 30
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def alive(pid: int) -> bool:
    """Whether `pid` runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" and not os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
