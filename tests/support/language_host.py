"""What the engine hands a language host."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2

from lab.plugins.protocol import language_pb2


def info(root: Path, **options: str) -> language_pb2.ProgramInfo:
    struct = struct_pb2.Struct()
    struct.update(options)
    return language_pb2.ProgramInfo(
        root_directory=str(root), program_directory=str(root), entry_point=".", options=struct
    )


class Call:
    """The gRPC call of the engine that asked: what to do when it hangs up."""

    def __init__(self) -> None:
        self.at_end: list[Callable[[], None]] = []

    def add_callback(self, callback: Callable[[], None]) -> None:
        self.at_end.append(callback)

    def abort(self, code: Any, details: str) -> None:  # noqa: ARG002
        raise RuntimeError(details)
