"""Gets one tool: from PATH in its pinned version, from its publisher, or built by Go. First match wins."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import Failed, UsageError
from lab.toolchain.tool import Tool

#: A closed network answers at once or never; five seconds tell which.
CONNECT_TIMEOUT = 5


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    beside.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".making-", dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def on_path(tool: Tool, search: str) -> Path | None:
    """The binary in the colon-separated folders `search`, if it says it has the pinned version."""
    found = shutil.which(tool.name, path=search)
    if not tool.probe or not found:
        return None
    try:
        said = subprocess.run([found, *tool.probe], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = said.replace(",", " ").replace('"', " ").split()
    return Path(found) if f"v{tool.version}" in words else None


def download(tool: Tool, folder: Path) -> Path | None:
    """The publisher's binary, checksum verified; None where there is none, or the network does not reach it.

    Raises Failed when the file does not match its publisher's checksum.
    """
    if tool.download is None:
        return None
    target = folder / tool.name
    archive = folder / "download"
    try:
        with urllib.request.urlopen(tool.download.sums, timeout=CONNECT_TIMEOUT) as answer:
            sums = answer.read().decode()
        with urllib.request.urlopen(tool.download.url, timeout=CONNECT_TIMEOUT) as answer, archive.open("wb") as out:
            shutil.copyfileobj(answer, out)
    except (OSError, urllib.error.URLError):
        return None
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest not in sums:
        raise Failed(f"{tool.name}: {tool.download.url} does not match {tool.download.sums}; try again later")
    if tool.download.member:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(tool.download.member)
            if member is None:
                raise Failed(f"{tool.name}: {tool.download.url} holds no {tool.download.member}")
            target.write_bytes(member.read())
    else:
        archive.rename(target)
    target.chmod(0o755)
    return target


def build(tool: Tool, folder: Path) -> Path:
    """The binary built from the pinned go.mod. Go's own build cache makes a second try resume.

    Raises UsageError without Go, Failed with the compiler's last line.
    """
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise UsageError(f"{tool.name} {tool.version}: not on PATH and cannot be downloaded or built; install Go 1.26")
    target = folder / tool.name
    command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags=-s -w {tool.ldflags}"]
    if tool.tags:
        command.append(f"-tags={tool.tags}")
    made = subprocess.run(
        [*command, "-o", str(target), tool.package],
        cwd=tool.module,
        env={**os.environ, "CGO_ENABLED": str(int(tool.c))},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        last = (made.stderr.strip() or "no output").splitlines()[-1]
        raise Failed(f"{tool.name} {tool.version}: go build failed in {tool.module}: {last}")
    return target


def provision(tool: Tool, store: Path, search: str, network: bool = True) -> tuple[Path, str]:
    """Puts `tool` into `store` if it is not there. Returns its path and how it was found.

    `store` keeps one folder per recipe, so a changed pin makes a new folder and an interrupted build leaves none.
    """
    kept = store / f"{tool.name}-{tool.key}" / tool.name
    if kept.exists():
        return kept, "cached"
    if found := on_path(tool, search):
        return found, "PATH"
    with _scratch(store) as folder:
        made, how = (download(tool, folder) if network else None), "download"
        if made is None:
            made, how = build(tool, folder), "built"
        final = folder / "done"
        final.mkdir()
        made.rename(final / tool.name)
        final.rename(kept.parent)
    return kept, how
