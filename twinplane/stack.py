"""One Pulumi stack of this project, through the `pulumi` command: what a user types, typed by a verb."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stacks.outputs import StackOutputs
from twinplane.errors import Failed, UsageError
from twinplane.screen import Tell

PROJECT = Path(__file__).resolve().parents[1]

#: The pulumi CLI's exit code for a stack that does not exist (its cmd/pulumi exit codes, v3.259).
NO_STACK = 6

#: What pulumi says -> what to do about it. The rest of its message is repeated as it is.
ADVICE = {
    "passphrase must be set": "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
    "incorrect passphrase": "PULUMI_CONFIG_PASSPHRASE is not the one that this stack was made with",
    "PULUMI_ACCESS_TOKEN must be set": "log in with `pulumi login`, or set PULUMI_BACKEND_URL",
    "unable to open state directory": "its backend is not there; a lab stack needs `twinplane lab up`",
    "is currently locked": "another update runs; if it was killed, run `pulumi cancel`",
}

#: What pulumi says around the reason of a failure.
WRAPPERS = {"update failed", "1 error occurred:", "preview failed"}

#: Host and process of a lock, as the file backend names them.
LOCK_HOLDER = re.compile(r"created by \S+@(\S+) \(pid (\d+)\)")


@dataclass(frozen=True)
class Stack:
    """A stack by name. `environment` is the whole environment of pulumi, and of what it starts."""

    name: str
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    @property
    def file(self) -> Path:
        """Its config file, values only."""
        return PROJECT / "stacks" / f"Pulumi.{self.name}.yaml"

    @property
    def endpoints(self) -> bool:
        """True when its config sends AWS calls to an endpoint of its own instead of to AWS."""
        if not self.file.exists():
            return False
        settings = yaml.safe_load(self.file.read_text()) or {}
        return bool((settings.get("config") or {}).get("aws:endpoints"))

    def exists(self) -> bool:
        """True when the backend knows the stack."""
        done = self._pulumi("stack", "output", "--json")
        if done.returncode in (0, NO_STACK):
            return done.returncode == 0
        raise self._error(done.stderr)

    def create(self) -> None:
        """Makes the stack in the backend, empty. A salt in its config file belongs to another backend's passphrase.

        Raises UsageError where the file has values encrypted with that passphrase.
        """
        lines = self.file.read_text().splitlines(keepends=True)
        if any("secure:" in line for line in lines):
            raise UsageError(f"{self.file}: has secrets of another backend; set them anew after `pulumi stack init`")
        if kept := [line for line in lines if not line.startswith("encryptionsalt:")]:
            self.file.write_text("".join(kept))
        done = self._pulumi("stack", "init", self.name, "--no-select", stack=False)
        if done.returncode:
            raise self._error(done.stderr)

    def outputs(self) -> StackOutputs:
        """What the stack exports, secrets in plain. Raises UsageError when it is unknown or not up."""
        done = self._pulumi("stack", "output", "--json", "--show-secrets")
        if done.returncode:
            raise self._error(done.stderr)
        exports: dict[str, Any] = json.loads(done.stdout)
        if not exports:
            raise UsageError(f"stack {self.name}: has no outputs; bring it up with `pulumi up -s {self.name}`")
        try:
            return StackOutputs.from_exports(exports)
        except UsageError as error:
            raise UsageError(f"stack {self.name}: {error}") from None

    def set_config(self, key: str, value: str) -> None:
        """Writes one config value, e.g. `twinplane:nodeReleaseVersion`, into the stack's file."""
        done = self._pulumi("config", "set", key, value)
        if done.returncode:
            raise self._error(done.stderr)

    def resources(self) -> list[dict[str, Any]]:
        """Those of its state, secrets unread. Raises UsageError when it is unknown."""
        done = self._pulumi("stack", "export")
        if done.returncode:
            raise self._error(done.stderr)
        return list(json.loads(done.stdout)["deployment"].get("resources") or [])

    def unprotect(self) -> None:
        """Lets Pulumi delete what it protects. Raises UsageError."""
        done = self._pulumi("state", "unprotect", "--all", "--yes")
        if done.returncode:
            raise self._error(done.stderr)

    def up(self, tell: Tell) -> None:
        """`pulumi up`. Raises Failed."""
        self._update("up", tell)

    def refresh(self, tell: Tell) -> None:
        """`pulumi refresh`: reads what is really there into the state. Raises Failed."""
        self._update("refresh", tell)

    def destroy(self, tell: Tell) -> None:
        """`pulumi destroy`. Raises Failed."""
        self._update("destroy", tell)

    def _update(self, verb: str, tell: Tell) -> None:
        """Runs an update without questions, also after one that was killed."""
        code, said = self._run(verb, tell)
        if code and orphaned(said):
            tell("  an earlier update was killed: taking back its lock")
            self._pulumi("cancel", "--yes")
            code, said = self._run(verb, tell)
        if code == NO_STACK:
            raise self._error(f"error: no stack named '{self.name}' found")
        if code:
            raise Failed(f"pulumi {verb} -s {self.name}: {reason(said)}")

    def _run(self, verb: str, tell: Tell) -> tuple[int, list[str]]:
        """-> exit code and what pulumi printed; each line is told as it comes."""
        argv = self._argv(verb, "--yes", "--skip-preview", "--suppress-outputs")
        with subprocess.Popen(
            argv, cwd=PROJECT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout
            said = []
            for line in process.stdout:
                if (text := line.rstrip()) and "from $PATH" not in text and not text.startswith("@"):
                    said.append(text.strip())
                    tell(f"  {text}")
        return process.returncode, said

    def _pulumi(self, *arguments: str, stack: bool = True) -> subprocess.CompletedProcess[str]:
        argv = self._argv(*arguments, stack=stack)
        return subprocess.run(argv, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False)

    def _argv(self, *arguments: str, stack: bool = True) -> list[str]:
        pulumi = shutil.which("pulumi", path=self.environment.get("PATH"))
        if pulumi is None:
            raise UsageError("pulumi: not on PATH; `twinplane doctor` says how to get it")
        return [pulumi, *arguments, *(["--stack", self.name] if stack else []), "--non-interactive", "--color=never"]

    def _error(self, said: str) -> UsageError:
        """One line of what pulumi said, and what to do."""
        line = next((each for each in said.splitlines() if each.startswith("error:")), said.strip() or "no output")
        if "no stack named" in line:
            return UsageError(f"stack {self.name}: unknown; make it with `pulumi stack init {self.name}` or check -s")
        advice = next((advice for words, advice in ADVICE.items() if words in said), None)
        return UsageError(f"stack {self.name}: {advice or line.removeprefix('error:').strip()}")


def reason(said: list[str]) -> str:
    """Returns the line of an update's output that says why it failed; for a lock, who holds it and since when."""
    if any("is currently locked" in line for line in said):
        holders = [line.partition(": created by ")[2] for line in said if LOCK_HOLDER.search(line)]
        return f"{ADVICE['is currently locked']} (its lock: {', '.join(holders) or 'not named'})"
    errors = [line.removeprefix("error:").strip() for line in said if line.startswith("error:")]
    causes = [line.removeprefix("* ") for line in said if line.startswith("* ")]
    telling = [line for line in errors if line not in WRAPPERS] or causes or errors or said[-1:] or ["no output"]
    return telling[0]


def orphaned(said: list[str]) -> bool:
    """True where pulumi refuses because of locks whose holders, all on this machine, are dead."""
    if not any("is currently locked" in line for line in said):
        return False
    holders = [found for line in said for found in LOCK_HOLDER.findall(line)]
    here = socket.gethostname()
    return bool(holders) and all(host == here and not Path(f"/proc/{pid}").exists() for host, pid in holders)
