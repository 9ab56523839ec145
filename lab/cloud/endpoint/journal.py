"""What changed the API's state, in order, on disk: replayed at start, the same requests make the same ids."""

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One request as it came, with the second it came and the seed of everything random in its answer."""

    sequence: int
    time: float
    seed: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int = field(default=0)

    def line(self) -> bytes:
        """Returns the entry as one line of JSON."""
        return json.dumps(asdict(self) | {"body": base64.b64encode(self.body).decode()}).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Entry":
        """Returns the entry of a line. Raises ValueError or TypeError for a line cut short."""
        values = json.loads(line)
        return cls(**values | {"body": base64.b64decode(values["body"])})


class Journal:
    """Appends entries, each on disk before its answer leaves; one process writes it, under the API's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.sequence = 0

    def entries(self) -> Iterator[Entry]:
        """Returns what was recorded. A last line cut short (killed while writing) is dropped from the file: its request
        was never answered."""
        if not self.path.exists():
            return
        whole = 0
        with self.path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = Entry.parse(line)
                except (ValueError, TypeError, KeyError):
                    break
                whole += len(line)
                self.sequence = entry.sequence
                yield entry
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)

    def append(self, entry: Entry) -> None:
        """Writes one entry and waits for the disk."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            line = entry.line()
            if os.write(descriptor, line) != len(line):
                raise OSError(f"{self.path}: short write")
            os.fsync(descriptor)
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.sequence = entry.sequence
