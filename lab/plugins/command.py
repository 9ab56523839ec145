"""Stand-in for `pulumi-resource-command`: `command:local:Command` and `command:local:run`."""

import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from lab.plugins.provider import Change, Diff, Invalid, Provider, ProviderError, Resource
from lab.plugins.resource_service import main
from lab.plugins.server import Log
from lab.plugins.values import UNKNOWN, Secret, Unknown, Values, known, reveal, secret

TEXT, FLAG, LIST, MAP, ANY = "text", "true or false", "a list of texts", "a map of texts", "a list"
INPUTS = {
    "create": TEXT,
    "update": TEXT,
    "delete": TEXT,
    "dir": TEXT,
    "stdin": TEXT,
    "environment": MAP,
    "interpreter": LIST,
    "logging": TEXT,
    "addPreviousOutputInEnv": FLAG,
    "triggers": ANY,
}
RUN_INPUTS = {"command": TEXT} | {
    name: INPUTS[name] for name in ("dir", "stdin", "environment", "interpreter", "logging")
}
NOT_HERE = ("assetPaths", "archivePaths")
#: Value of `logging` -> the streams that the engine's log gets.
STREAMS = {"stdoutAndStderr": ("stdout", "stderr"), "stdout": ("stdout",), "stderr": ("stderr",), "none": ()}
GRACE = 10.0  # seconds between asking a command to end and ending it


@dataclass(frozen=True)
class Shell:
    """One command line with its surroundings, as the inputs of a resource or function describe them."""

    line: str
    inputs: Mapping[str, Any]
    previous: Mapping[str, Any]

    @property
    def argv(self) -> list[str]:
        return [*self.inputs.get("interpreter", ["/bin/sh", "-c"]), self.line]

    @property
    def environment(self) -> dict[str, str]:
        """The plugin's own, the outputs of the run before this one, and the resource's, in rising precedence."""
        before = {}
        if self.inputs.get("addPreviousOutputInEnv", True):
            before = {f"PULUMI_COMMAND_{name.upper()}": self.previous[name] for name in self.previous}
        return {**os.environ, **before, **self.inputs.get("environment", {})}


class Commands(Provider):
    """Runs commands on this machine, each in a process group of its own that ends with the engine."""

    version = "1.2.1"
    accept_secrets = True

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.running: set[subprocess.Popen[str]] = set()
        self.lock = threading.Lock()

    def check(self, resource: Resource, old: Values, new: Values, seed: bytes) -> Values:
        if resource.type != "command:local:Command":
            return super().check(resource, old, new, seed)
        validate(new, INPUTS)
        return new

    def diff(self, change: Change) -> Diff:
        old, new = reveal(change.old_inputs), reveal(change.inputs)
        changed = [name for name in INPUTS if old.get(name) != new.get(name)]
        # As the official provider: new triggers make a new resource, unless `update` says how to follow them.
        return Diff(changed, [name for name in changed if name == "triggers" and "update" not in new])

    def create(self, change: Change) -> tuple[str, Values]:
        outputs = self._outputs(change, change.inputs.get("create"), {})
        return f"{change.resource.name}{secrets.token_hex(4)}", outputs

    def update(self, change: Change) -> Values:
        return self._outputs(change, change.inputs.get("update", change.inputs.get("create")), change.state)

    def delete(self, change: Change) -> None:
        if "delete" in change.state:
            self._run(change, reveal(change.state["delete"]), change.state, change.state)

    def invoke(self, token: str, args: Values) -> Values:
        if token != "command:local:run":
            return super().invoke(token, args)
        validate(args, RUN_INPUTS)
        outputs = self._run(Change(Resource("", token, token)), reveal(args["command"]), args, {})
        return {**args, **_marked(outputs, args)}

    def cancel(self) -> None:
        super().cancel()
        with self.lock:
            running = list(self.running)
        for process in running:
            end(process)

    def _outputs(self, change: Change, command: Any, previous: Values) -> Values:
        outputs: Values = {"stdout": UNKNOWN, "stderr": UNKNOWN}
        if not change.preview and command is None:
            outputs = {name: previous.get(name, "") for name in outputs}
        elif not change.preview:
            outputs = self._run(change, reveal(command), change.inputs, previous)
        return {**change.inputs, **_marked(outputs, change.inputs)}

    def _run(self, change: Change, line: str, inputs: Values, previous: Values) -> dict[str, str]:
        before: Values = {name: reveal(previous[name]) for name in ("stdout", "stderr") if name in previous}
        shell = Shell(line, reveal(inputs), before)
        streams = STREAMS[shell.inputs.get("logging", "stdoutAndStderr")]
        process = self._start(shell)
        captured: dict[str, list[str]] = {"stdout": [], "stderr": []}

        def follow(name: str) -> None:
            for text in cast(TextIOWrapper, getattr(process, name)):
                captured[name].append(text)
                if name in streams and text.strip():
                    self.log(change.resource.urn, text.rstrip("\n"))

        followers = [threading.Thread(target=follow, args=(name,)) for name in captured]
        for follower in followers:
            follower.start()
        try:
            _feed(process, shell.inputs.get("stdin", ""))
            code = process.wait(change.timeout or None)
        except subprocess.TimeoutExpired:
            end(process)
            raise ProviderError(f"{_quote(line, inputs)} did not end within {change.timeout:g} s") from None
        finally:
            with self.lock:
                self.running.discard(process)
        for follower in followers:
            follower.join(GRACE)  # a child left in the background may hold the pipe
        if self.cancelled.is_set():
            raise ProviderError(f"{_quote(line, inputs)} was cancelled")
        if code:
            # What was streamed is beside the resource already; what came of secrets is not repeated in an error.
            tail = [] if streams or secret(inputs) else (captured["stdout"] + captured["stderr"])[-20:]
            raise ProviderError(
                f"exit status {code}: running {_quote(line, inputs)}" + "".join(["\n", *tail] if tail else [])
            )
        return {name: "".join(lines).removesuffix("\n") for name, lines in captured.items()}

    def _start(self, shell: Shell) -> subprocess.Popen[str]:
        directory = shell.inputs.get("dir")
        if directory is not None and not Path(directory).is_dir():
            raise ProviderError(f"dir: {directory} is no directory")
        with self.lock:
            if self.cancelled.is_set():
                raise ProviderError("cancelled before the command began")
            try:
                process = subprocess.Popen(
                    shell.argv,
                    cwd=directory,
                    env=shell.environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                raise ProviderError(f"interpreter: {shell.argv[0]}: {error.strerror}") from None
            self.running.add(process)
        return process


def validate(inputs: Values, known_inputs: Mapping[str, str]) -> None:
    """Raises Invalid for inputs that the type does not have, of the wrong kind, or that this stand-in cannot serve."""
    failures = []
    for name, value in inputs.items():
        if name in NOT_HERE:
            failures.append((name, "not supported by the lab's stand-in: install the official command plugin"))
        elif name not in known_inputs:
            failures.append((name, f"unknown input; the inputs are {', '.join(known_inputs)}"))
        elif not _fits(reveal(value), known_inputs[name]):
            failures.append((name, f"must be {known_inputs[name]}"))
        elif name == "logging" and known(value) and reveal(value) not in STREAMS:
            failures.append((name, f"must be one of {', '.join(STREAMS)}"))
    if "command" in known_inputs and "command" not in inputs:
        failures.append(("command", "is required"))
    if failures:
        raise Invalid(failures)


def end(process: subprocess.Popen[str]) -> None:
    """Asks the command's whole process group to end, and ends it after `GRACE` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, Unknown):
        return True
    match kind:
        case "text":
            return isinstance(value, str)
        case "true or false":
            return isinstance(value, bool)
        case "a list of texts":
            return isinstance(value, list) and all(_fits(item, TEXT) for item in value)
        case "a map of texts":
            return isinstance(value, dict) and all(_fits(item, TEXT) for item in value.values())
    return isinstance(value, list)


def _marked(outputs: Mapping[str, Any], inputs: Values) -> Values:
    """What a command prints can hold any of its inputs: with a secret among them, all of it is secret."""
    return {name: Secret(value) if secret(inputs) else value for name, value in outputs.items()}


def _quote(line: str, inputs: Values) -> str:
    hidden = any(secret(inputs.get(name)) for name in ("create", "update", "delete", "command"))
    return "a secret command" if hidden else f'"{line}"'


def _feed(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(text)
        process.stdin.close()
    except BrokenPipeError:
        pass  # a command need not read its input


if __name__ == "__main__":
    main(Commands)
