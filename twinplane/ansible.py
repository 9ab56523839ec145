"""Runs a playbook on a stack's machines: `python -m twinplane.ansible site|reset|patch|backup|restore|facts`.

The request on stdin is one JSON object: `machines` as exported, `sshUser`, `sshPrivateKey` (OpenSSH), `variables`
(Ansible's, over those of group_vars). Progress goes to stderr, a line for each host and task. stdout gets one JSON
object: Result, without what is empty. Exit code 0; 1 when it failed; 2 when nothing was changed.

Secrets are in memory only: the key goes from here to an ssh-agent, what must be a file is one in a secret_tmpdir.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

from twinplane.caller import Caller
from twinplane.errors import UsageError
from twinplane.inventory import inventory
from twinplane.live import ssh
from twinplane.lock import Lock
from twinplane.secret_tmpdir import MARK, secret_tmpdir

PLAYBOOKS = Path(__file__).resolve().parents[1] / "playbooks"
#: Seconds between two lines of a host that waits.
TOLD_EVERY = 5.0
#: Playbook -> seconds that a machine has until it answers by SSH. A new one boots; an old one answers or is gone.
WAITS = {"site": 300.0, "patch": 30.0, "backup": 30.0, "restore": 30.0, "reset": 10.0, "facts": 10.0}
#: Playbooks that go on without a machine that does not answer, and those that change no machine.
SPARING, HARMLESS = {"reset", "facts"}, {"backup", "facts"}
FIELDS = {"machines": list, "sshUser": str, "sshPrivateKey": str, "variables": dict}


@dataclass
class Result:
    """What a playbook did."""

    playbook: str
    ok: bool = False
    #: Host -> how many tasks were ok, changed, unreachable, failures, skipped.
    stats: dict[str, dict[str, int]] = field(default_factory=dict)
    #: A line each: host, what, and for an unreachable one what to check.
    failures: list[str] = field(default_factory=list)
    #: What modules answer as `notes`: a line each, host first.
    notes: list[str] = field(default_factory=list)
    #: After site. A secret.
    kubeconfig: str | None = None
    #: After site: name of each node -> range of its pods.
    ranges: dict[str, str] | None = None
    #: After backup: what is known of the snapshot.
    snapshot: dict[str, Any] | None = None
    #: After facts: host -> what playbooks/library/node_facts.py says of it.
    facts: dict[str, dict[str, Any]] | None = None


def run(
    playbook: str,
    request: Mapping[str, Any],
    progress: Callable[[str], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    check: bool = False,
    *,
    environment: Mapping[str, str] = os.environ,
) -> Result:
    """Runs the playbook. `progress` gets lines; `cancelled` is asked twice a second; `check` changes nothing.
    `environment` is the stack's, for the tunnels to its machines.

    Raises UsageError for a wrong request, when a machine does not let us in (reset and facts go on without it), and
    when somebody else changes the machines.
    """
    if playbook not in WAITS:
        raise UsageError(f"playbook {playbook!r} is none of {', '.join(WAITS)}")
    for name, kind in FIELDS.items():
        if not isinstance(request.get(name), kind):
            raise UsageError(f"the request's {name} must be a JSON {'string' if kind is str else kind.__name__}")
    machines, user = request["machines"], request["sshUser"]
    hosts = inventory(machines, user)
    result = Result(playbook, facts={} if playbook == "facts" else None)
    with (
        secret_tmpdir("ansible") as folder,
        ssh.login(machines, user, request["sshPrivateKey"], folder, environment) as session,
    ):
        silent = ssh.wait(machines, WAITS[playbook], progress, cancelled, session=session, environment=environment)
        if silent and playbook not in SPARING:
            raise UsageError("; ".join(silent.values()))
        if playbook == "facts":
            result.failures.extend(silent.values())
        here = [machine for machine in machines if machine["name"] not in silent]
        if here:
            for name in ("inventory", "env", "tmp"):
                (folder / name).mkdir()
            (folder / "inventory" / "hosts.yml").write_text(json.dumps(hosts))
            (folder / "env" / "extravars").write_text(json.dumps(request["variables"]))
            watcher = _Watcher(result, here, user, progress)
            lock = Lock(session, here, playbook, progress)
            with nullcontext() if playbook in HARMLESS or check else lock:
                _play(
                    watcher,
                    lambda: bool(lock.lost) or cancelled(),
                    private_data_dir=str(folder),
                    playbook=str(PLAYBOOKS / f"{playbook}.yml"),
                    limit=",".join(machine["name"] for machine in here),
                    cmdline="--check --diff" if check else None,
                    envvars=_environment(folder, session),
                )
            if lock.lost:
                result.failures[:] = [f"{lock.lost}: stopped; look what runs there before you run it again"]
    result.ok = not result.failures
    return result


def _play(watcher: _Watcher, cancelled: Callable[[], bool], **options: Any) -> None:
    """Runs ansible-playbook with ansible-runner's options. What failed is in the watcher's result."""
    done = ansible_runner.run(
        project_dir=str(PLAYBOOKS),
        settings={"pexpect_timeout": 0.5},
        event_handler=watcher,
        cancel_callback=cancelled,
        quiet=True,
        **options,
    )
    failures = watcher.result.failures
    if done.status == "canceled":
        failures.append("interrupted; run it again, it goes on where it was")
    elif done.rc != 0 and not failures:
        failures.append("ansible-playbook: " + (" ".join(watcher.output[-5:]) or f"exit code {done.rc}"))


def _environment(folder: Path, session: ssh.Session) -> dict[str, str]:
    environment = session.environment
    return {
        **{name: value for name, value in environment.items() if name.startswith("AWS_")},
        MARK: str(folder),
        "SSH_AUTH_SOCK": environment["SSH_AUTH_SOCK"],
        # ansible-playbook is where this interpreter is; ansible-runner looks in PATH.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(PLAYBOOKS.parent / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_SSH_COMMON_ARGS": shlex.join(session.options),
        "ANSIBLE_NOCOLOR": "1",
    }


class _Watcher:
    """Reads Ansible's events: progress lines as they come, failures, and what the playbook hands out."""

    STATES: Mapping[str, str] = {
        "runner_on_ok": "ok",
        "runner_on_failed": "FAILED",
        "runner_on_unreachable": "UNREACHABLE",
    }

    def __init__(self, result: Result, machines: list[dict[str, str]], user: str, progress: Callable[[str], None]):
        self.result = result
        self.machines = {machine["name"]: machine for machine in machines}
        self.user = user
        self.progress = progress
        self.began = time.monotonic()
        #: Host -> when it was last said what its task waits for.
        self.told: dict[str, float] = {}
        #: What ansible-playbook printed outside any task: the reason when nothing ran.
        self.output: list[str] = []

    def __call__(self, event: Mapping[str, Any]) -> bool:
        """Returns False: no event is written to a file."""
        kind, data = event.get("event", ""), event.get("event_data") or {}
        if kind == "playbook_on_play_start":
            self._say(data.get("name", ""))
        elif kind == "playbook_on_stats":
            self._stats(data)
        elif kind in {"verbose", "error"}:
            self.output += [line.strip() for line in event.get("stdout", "").splitlines() if line.strip()]
        elif kind in self.STATES and not data.get("ignore_errors"):
            self._host(kind, data)
        elif kind == "runner_retry":
            self._waiting(data["host"], data.get("task", ""), data.get("res") or {})
        return False

    def _say(self, text: str) -> None:
        self.progress(f"{time.monotonic() - self.began:6.1f}s  {text}")

    def _host(self, kind: str, data: Mapping[str, Any]) -> None:
        host, answer, task = data["host"], data.get("res") or {}, data.get("task", "")
        state = "changed" if answer.get("changed") and kind == "runner_on_ok" else self.STATES[kind]
        self._say(f"{host:<24} {state:<8} {' : '.join(filter(None, (data.get('role'), task)))}")
        if kind == "runner_on_unreachable":
            self.result.failures.append(ssh.explain(self.machines[host], self.user, str(answer.get("msg", ""))))
        elif kind == "runner_on_failed":
            reason = answer.get("stderr") or answer.get("msg") or _unsaid(answer)
            self.result.failures.append(f"{host}: {task}: {one_line(str(reason))}")
        elif self.result.facts is not None and "facts" in answer:
            self.result.facts[host] = answer["facts"]
        for line in (f"{host}: {note}" for note in answer.get("notes") or ()):
            if line not in self.result.notes:
                self.result.notes.append(line)

    def _waiting(self, host: str, task: str, answer: Mapping[str, Any]) -> None:
        """Says what a task that is tried again waits for, once in a while."""
        if "censored" in answer or time.monotonic() - self.told.get(host, 0) < TOLD_EVERY:
            return
        reason = answer.get("progress") or answer.get("msg") or answer.get("stderr") or ""
        self._say(f"{host:<24} {'waiting':<8} {one_line(f'{task}: {reason}' if reason else task)}")
        self.told[host] = time.monotonic()

    def _stats(self, data: Mapping[str, Any]) -> None:
        names = {"ok": "ok", "changed": "changed", "dark": "unreachable", "failures": "failures", "skipped": "skipped"}
        for host in data.get("processed", {}):
            self.result.stats[host] = {name: data.get(key, {}).get(host, 0) for key, name in names.items()}
        handed = data.get("artifact_data") or {}
        self.result.kubeconfig, self.result.ranges = handed.get("kubeconfig"), handed.get("ranges")
        self.result.snapshot = handed.get("snapshot")


#: Colours and the like, which programs print although nobody looks at a terminal.
_ANSI = re.compile(r"\x1b?\[[0-9;]*m|\x1b[@-_][0-?]*[ -/]*[@-~]")
#: Characters that an error line may have of what a program printed.
LINE = 600


def one_line(text: str) -> str:
    """Returns the text as one line, without colours; the middle of a long one is left out, as both ends tell most."""
    line = " ".join(_ANSI.sub("", text).split())
    return line if len(line) <= LINE else f"{line[: LINE // 3]} ... {line[-LINE // 3 * 2 :]}"


def _unsaid(answer: Mapping[str, Any]) -> str:
    """Returns what stands for a reason where a failed task gives none."""
    if "censored" in answer:
        return "it handles a secret, so what it said is not shown"
    return str(answer.get("progress") or answer.get("stdout") or "it failed without a word")


def main() -> int:
    """The command. Returns its exit code."""
    caller = Caller()
    try:
        if len(sys.argv) != 2:
            raise UsageError(f"usage: python -m twinplane.ansible {'|'.join(WAITS)} < request.json")
        result = run(sys.argv[1], caller.request(), caller.say, caller.gone)
    except UsageError as error:
        caller.say(f"error: {error}")
        return 2
    print(json.dumps({name: value for name, value in asdict(result).items() if value is not None}))
    for line in result.failures:
        caller.say(f"error: {line}")
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
