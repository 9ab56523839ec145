"""A file that readers see whole: as it was, or as it is now, whenever the writer is killed."""

import os
from pathlib import Path


def write(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Replaces the file at `path`, or makes it, with `content` on disk. `mode` holds from the first byte on."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as stream:
        os.fchmod(stream.fileno(), mode)  # also of one that a killed process of this number left
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
