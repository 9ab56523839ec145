"""Record: what a program notes in the state of its own stack, for its next run to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

TYPE = "twinplane:stack:Record"


@dataclass(frozen=True)
class RecordArgs:
    """What a Record is made from."""

    #: Plain texts, no secrets.
    entries: Mapping[str, str]


class Record(pulumi.ComponentResource):
    """Makes nothing. Its entries are in the state as soon as the program starts, whatever fails later; the stack's
    outputs are there only after a first update that succeeded."""

    entries: Mapping[str, str]

    def __init__(self, name: str, args: RecordArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE, name, None, opts)
        self.entries = args.entries
        self.register_outputs({"entries": self.entries})
