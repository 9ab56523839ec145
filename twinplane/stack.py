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

from twinplane.console import Tell
from twinplane.errors import Failed, UsageError
from twinplane.outputs import StackOutputs

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

#: What pulumi and its AWS provider say around the reason of a failure, and nothing else.
WRAPPER = re.compile(
    r"(update|preview) failed|(.*: )?\d+ errors? occurred:|resource .* returned an error but .*|status code: .*", re.I
)
#: What they say of it that helps nobody: where in the provider, which request.
NOISE = re.compile(
    r"^sdk-v2/\S+ sdk\.helper_schema: |: provider=aws@\S+$"
    r"|operation error [^:]+: \w+, (?=https response error|exceeded)|exceeded maximum .*?, (?=\w)"
    r"|https response error StatusCode: \d+, |(?:RequestID|HostID): [^,]*, |api error (?=\w+: )"
)
#: Head of what pulumi says of one resource, in its summary: type and name.
RESOURCE = re.compile(r"([\w.-]+(?::[\w./-]+)+) \(([^()]+)\):")

#: AWS's code -> what to do.
NEXT = {
    "ExpiredToken": "get new credentials, and run it again",
    "RequestExpired": "get new credentials, and run it again",
    "InvalidClientTokenId": "AWS does not know these credentials: `aws sts get-caller-identity`",
    "UnrecognizedClientException": "AWS does not know these credentials: `aws sts get-caller-identity`",
    "AccessDenied": "docs/aws.md lists the permissions",
    "UnauthorizedOperation": "docs/aws.md lists the permissions",
    "LimitExceeded": "ask for a higher quota (AWS Service Quotas), and run it again",
    "DependencyViolation": "what is not the stack's stands in it: remove that, and run it again",
    "ResourceInUseException": "remove what uses it, if it is not the stack's, and run it again",
}

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
    def project(self) -> str:
        """The project's name: prefix of every key of ours, and a tag of every resource."""
        return str(yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["name"])

    @property
    def endpoint(self) -> str:
        """URL that its config sends AWS calls to; "" for AWS itself."""
        urls = (str(url) for services in self.config.get("aws:endpoints") or () for url in services.values())
        return next(urls, "")

    @property
    def config(self) -> dict[str, Any]:
        """What stands in its config file, by key with namespace; empty where there is no such file."""
        if not self.file.exists():
            return {}
        settings = yaml.safe_load(self.file.read_text()) or {}
        return dict(settings.get("config") or {})

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

    def known(self) -> set[str]:
        """Ids of all resources in its state, those that are to be deleted among them, and names of its node groups."""
        done = self._pulumi("stack", "export")
        if done.returncode:
            raise self._error(done.stderr)
        resources = json.loads(done.stdout)["deployment"].get("resources") or []
        names = {(each.get("outputs") or {}).get("nodeGroupName") for each in resources}
        return {name for name in {*names, *(each.get("id") for each in resources)} if name}

    def set_config(self, key: str, value: str) -> None:
        """Writes one config value into the stack's file; a key without a namespace is the project's."""
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
        """Returns exit code and what pulumi printed; each line is told as it comes."""
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
    """Returns why an update failed: resource, AWS's code and words, what to do; for a lock, who holds it."""
    if any("is currently locked" in line for line in said):
        holders = [line.partition(": created by ")[2] for line in said if LOCK_HOLDER.search(line)]
        return f"{ADVICE['is currently locked']} (its lock: {', '.join(holders) or 'not named'})"
    where, found = "", []
    for line in said:
        if head := RESOURCE.fullmatch(line):
            where = "" if head[1] == "pulumi:pulumi:Stack" else f"{head[1]} {head[2]}: "
        elif line.startswith(("error:", "* ")) and (text := telling(line)):
            found.append(where + text)
    fallback = [line.removeprefix("error:").strip() for line in said if line.startswith("error:")] or said[-1:]
    line = (found or fallback or ["no output"])[0]
    advice = next((advice for code, advice in NEXT.items() if code in line), "")
    return f"{line}; {advice}" if advice else line


def telling(line: str) -> str:
    """Returns what one line of an error says, without what surrounds AWS's own words; "" for nothing."""
    text = line.removeprefix("error:").removeprefix("* ").strip()
    text = NOISE.sub("", re.sub(r"^(creating|updating|deleting|refreshing) urn:\S+: ", "", text)).strip()
    return "" if WRAPPER.fullmatch(text) else text


def orphaned(said: list[str]) -> bool:
    """True where pulumi refuses because of locks whose holders, all on this machine, are dead."""
    if not any("is currently locked" in line for line in said):
        return False
    holders = [found for line in said for found in LOCK_HOLDER.findall(line)]
    here = socket.gethostname()
    return bool(holders) and all(host == here and not Path(f"/proc/{pid}").exists() for host, pid in holders)
