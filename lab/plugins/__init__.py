"""Provider plugins of the lab: stand-ins for the official Pulumi plugins that this machine does not have.

The engine starts `pulumi-<kind>-<name>` from PATH when the plugin is not in its own cache, so each stand-in is a
two-line wrapper in `directory()` that runs its module in this project's virtual environment.
"""

import os
import shutil
import sys
from pathlib import Path

from lab import whole_file
from lab.constants import CACHE

#: What a wrapper runs.
LAUNCH = Path(__file__).with_name("launch.py")
#: Executable the engine looks for -> module that stands in for it.
STAND_INS = {
    "pulumi-language-python": "lab.plugins.language_python",
    "pulumi-resource-aws": "lab.plugins.aws",
    "pulumi-resource-command": "lab.plugins.command",
    "pulumi-resource-eks": "lab.plugins.eks",
    "pulumi-resource-kubernetes": "lab.plugins.kubernetes",
}


def directory(place: Path | None = None) -> Path:
    """The directory to put on PATH: a wrapper for each plugin whose official version is missing, and no other file.
    Without a `place` it is the cache's, which belongs to the project that asked last."""
    place = place or CACHE / "plugins"
    place.mkdir(parents=True, exist_ok=True)
    wanted = missing()
    for stale in (path for path in place.iterdir() if path.name not in wanted):
        stale.unlink()
    for name in wanted:
        _write(place / name, _wrapper(STAND_INS[name]))
    return place


def missing() -> list[str]:
    """The executables of `STAND_INS` whose official plugin is neither on PATH nor in Pulumi's plugin cache."""
    return [name for name in STAND_INS if official(name) is None]


def official(name: str) -> Path | None:
    """Where the official plugin `name` is, in Pulumi's own plugin cache or on PATH; None when it is not installed."""
    home = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi"))
    cached = sorted(home.glob(f"plugins/{name.removeprefix('pulumi-')}-v*/{name}"))
    if cached:
        return cached[-1]
    path = os.pathsep.join(
        place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(place) != CACHE / "plugins"
    )
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _wrapper(module: str) -> str:
    # -P keeps the engine's working directory, the user's project, out of the import path. No PYTHONPATH: what the
    # plugin starts would inherit it.
    return f'#!/bin/sh\nexec {sys.executable} -P {LAUNCH} {module} "$@"\n'


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    whole_file.write(path, text, 0o755)
