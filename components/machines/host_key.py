"""HostKey: the SSH host key that a machine makes for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_command as command

from components.base.interpreter import interpreter


@dataclass(frozen=True)
class HostKeyArgs:
    """What a HostKey is made from."""

    #: As `Machine.exported`: known by the key of its user data.
    machine: pulumi.Input[Mapping[str, str]]
    ssh_user: str
    #: OpenSSH format. A secret.
    ssh_private_key: pulumi.Input[str]


class HostKey(pulumi.ComponentResource):
    """Asks the machine at its creation, and again when another instance takes its place: twinplane/host_key.py.

    The private half never leaves the machine.
    """

    #: The machine, known by its own key from now on.
    machine: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: HostKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:ssh:HostKey", name, None, opts)
        request = {"machine": args.machine, "sshUser": args.ssh_user, "sshPrivateKey": args.ssh_private_key}
        told: pulumi.Output[str] = pulumi.Output.json_dumps(request, sort_keys=True)
        stdin: pulumi.Output[str] = pulumi.Output.secret(told)
        made = command.local.Command(
            name,
            interpreter=interpreter("host_key"),
            create="make",
            stdin=stdin,
            logging=command.local.Logging.STDERR,
            add_previous_output_in_env=True,  # an instance that has told its key is not asked again
            opts=pulumi.ResourceOptions(parent=self),
        )
        key = pulumi.Output.unsecret(made.stdout.apply(lambda answer: str(json.loads(answer)["hostKey"])))
        self.machine = pulumi.Output.all(args.machine, key).apply(lambda both: {**both[0], "hostKey": both[1]})
        self.register_outputs({"machine": self.machine})
