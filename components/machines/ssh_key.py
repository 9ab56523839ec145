"""SshKey: a key pair that is made once, in the Pulumi graph, and never on a disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_command as command

from components.base.interpreter import interpreter


@dataclass(frozen=True)
class SshKeyArgs:
    """What an SshKey is made from."""

    #: Comment of the public key; tells people what it is for. No spaces.
    comment: str
    kind: Literal["ed25519", "ecdsa"] = "ed25519"


class SshKey(pulumi.ComponentResource):
    """A key pair, kept in the state: its private half as a secret."""

    #: OpenSSH format, PEM. A secret.
    private: pulumi.Output[str]
    #: "ssh-ed25519 AAAA... comment"; an ecdsa key's type is ecdsa-sha2-nistp256.
    public: pulumi.Output[str]

    def __init__(self, name: str, args: SshKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:ssh:SshKey", name, None, opts)
        pair = command.local.Command(
            name,
            interpreter=[*interpreter("keys"), args.kind],
            create=args.comment,
            logging=command.local.Logging.NONE,
            opts=pulumi.ResourceOptions(
                parent=self,
                additional_secret_outputs=["stdout"],
                # A key is made once: another Python, kind or comment must not make another.
                ignore_changes=["interpreter", "create"],
            ),
        )
        halves = pair.stdout.apply(json.loads)
        self.private = pulumi.Output.secret(halves.apply(lambda pair: str(pair["private"])))
        self.public = pulumi.Output.unsecret(halves.apply(lambda pair: str(pair["public"])))
        self.register_outputs({"private": self.private, "public": self.public})
