"""The lab's tools: found, fetched or built once, kept in the cache, linked into one folder for PATH."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from lab.constants import CACHE
from lab.errors import UsageError
from lab.toolchain.provision import provision
from lab.toolchain.tool import TOOLS, Tool

#: One link per tool. Goes in front of PATH.
BIN = CACHE / "bin"
STORE = CACHE / "tools"

Progress = Callable[[str], None]


def tool(name: str) -> Path:
    """The tool's path. Raises UsageError when `ensure` has not run."""
    link = BIN / name
    if not link.exists():
        raise UsageError(f"{name} is missing in {BIN}; run `make setup`")
    return link


def missing() -> list[Tool]:
    """Tools whose pinned version is not linked in BIN: what `ensure` would have to get."""
    return [each for each in TOOLS if not _current(each)]


def _current(each: Tool) -> bool:
    link = BIN / each.name
    if not link.exists():
        return False
    origin = link.resolve()
    return origin.parent.name == f"{each.name}-{each.key}" or not origin.is_relative_to(STORE)


def ensure(progress: Progress) -> None:
    """Gets every tool that is missing, one after the other (a Go build takes every core), one process at a time.

    `progress` takes one line a step, with the time left as measured on 2 cores.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "toolchain.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = missing()
        left = sum(each.seconds for each in wanted)
        # A closed network is asked once, not once a tool: every publisher would answer the same.
        network = True
        BIN.mkdir(parents=True, exist_ok=True)
        search = os.pathsep.join(p for p in os.environ.get("PATH", "").split(os.pathsep) if p != str(BIN))
        for number, each in enumerate(wanted, 1):
            progress(f"tool {number}/{len(wanted)} {each.name} {each.version} (at most {left} s left)")
            started = time.monotonic()
            path, how = provision(each, STORE, search, network)
            network = network and not (how == "built" and each.download)
            left -= each.seconds
            progress(f"tool {number}/{len(wanted)} {each.name} {how} in {time.monotonic() - started:.0f} s")
            _link(each.name, path)
        _prune()


def _link(name: str, target: Path) -> None:
    fresh = BIN / f".{name}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(BIN / name)


def _prune() -> None:
    """Removes builds of other recipes and half-made ones: the lock says that nobody else makes any."""
    keep = {f"{each.name}-{each.key}" for each in TOOLS}
    for folder in STORE.glob("*") if STORE.exists() else []:
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """`python -m lab.toolchain`: get what is missing."""
    ensure(lambda line: print(line, flush=True))
