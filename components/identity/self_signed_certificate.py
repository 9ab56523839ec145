"""SelfSignedCertificate: a TLS certificate that is made once, in the Pulumi graph, and never on a disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_command as command

from components.base import tags
from components.base.interpreter import interpreter


@dataclass(frozen=True)
class SelfSignedCertificateArgs:
    """What a SelfSignedCertificate is made from."""

    #: DNS names that it is for, at least one.
    names: Sequence[str]
    #: True: AWS Certificate Manager keeps a copy, for load balancers.
    imported: bool = False


class SelfSignedCertificate(pulumi.ComponentResource):
    """A certificate for ten years, kept in the state; another is made when its names change."""

    #: PEM. Its own authority.
    certificate: pulumi.Output[str]
    #: PEM. A secret.
    private_key: pulumi.Output[str]
    #: Of the copy in Certificate Manager; "" where there is none.
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: SelfSignedCertificateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("twinplane:tls:SelfSignedCertificate", name, None, opts)
        names = " ".join(args.names)
        made = command.local.Command(
            name,
            interpreter=interpreter("certificates"),
            create=names,
            triggers=[names],
            logging=command.local.Logging.NONE,
            # Another Python must not make another certificate.
            opts=pulumi.ResourceOptions(
                parent=self, additional_secret_outputs=["stdout"], ignore_changes=["interpreter"]
            ),
        )
        pair = made.stdout.apply(json.loads)
        self.certificate = pulumi.Output.unsecret(pair.apply(lambda pair: str(pair["certificate"])))
        self.private_key = pulumi.Output.secret(pair.apply(lambda pair: str(pair["private_key"])))
        self.arn = pulumi.Output.from_input("")
        if args.imported:
            self.arn = aws.acm.Certificate(
                name,
                certificate_body=self.certificate,
                private_key=self.private_key,
                tags=tags.named(name),
                opts=pulumi.ResourceOptions(parent=self),
            ).arn
        self.register_outputs({"certificate": self.certificate, "private_key": self.private_key, "arn": self.arn})
