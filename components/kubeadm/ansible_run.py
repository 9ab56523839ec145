"""AnsibleRun: a playbook over the machines, as a step of `pulumi up`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command as command

from components.base.interpreter import interpreter

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"


@dataclass(frozen=True)
class LastRun:
    """What there is of the run before this one."""

    #: Another text makes the playbook run again: the machines are not as it left them.
    repair: str = ""
    #: What it answered, where a run now would answer the same: previews have it, and need not take the cluster for
    #: another one. None: unknown. A secret.
    answer: str | None = None


@dataclass(frozen=True)
class AnsibleRunArgs:
    """What an AnsibleRun is made from."""

    #: Name of the playbook that makes the machines what they should be; it must be safe to run again.
    playbook: str
    #: Each as `HostKey.machine`.
    machines: Sequence[pulumi.Input[Mapping[str, str]]]
    ssh_user: str
    #: OpenSSH format. A secret.
    ssh_private_key: pulumi.Input[str]
    #: Ansible variables over those of group_vars.
    variables: Mapping[str, pulumi.Input[Any]]
    last: LastRun = field(default_factory=LastRun)


class AnsibleRun(pulumi.ComponentResource):
    """Runs at creation, and again when machines, variables or playbooks change. Deleting it runs the reset playbook.

    Everything the playbook is told goes through stdin: nothing secret is in argv, environment or on a disk.
    """

    #: What `python -m twinplane.ansible` answers, as its docstring says. A secret.
    result: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: AnsibleRunArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:ansible:AnsibleRun", name, None, opts)
        request = {
            "machines": args.machines,
            "sshUser": args.ssh_user,
            "sshPrivateKey": args.ssh_private_key,
            "variables": args.variables,
        }
        told: pulumi.Output[str] = pulumi.Output.json_dumps(request, sort_keys=True)
        stdin: pulumi.Output[str] = pulumi.Output.secret(told)
        run = command.local.Command(
            name,
            interpreter=interpreter("ansible"),
            create=args.playbook,
            update=args.playbook,
            delete="reset",
            stdin=stdin,
            # With `update` given, a new trigger runs that and replaces nothing.
            triggers=[digest(PLAYBOOKS), *filter(None, [args.last.repair])],
            logging=command.local.Logging.STDERR,  # progress; the result on stdout holds secrets
            add_previous_output_in_env=False,  # for the same reason
            opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["stdout"]),
        )
        answer: pulumi.Output[str] = run.stdout
        if args.last.answer is not None and pulumi.runtime.is_dry_run():
            answer = pulumi.Output.from_input(args.last.answer)
        self.result = pulumi.Output.secret(answer.apply(json.loads))
        self.register_outputs({"result": self.result})


def digest(folder: Path) -> str:
    """One hash of all files of a folder, names and contents. Hidden and compiled files do not count."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder)
        if not any(part.startswith((".", "__pycache__")) for part in name.parts):
            total.update(f"{name}\0{file.stat().st_size}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()
