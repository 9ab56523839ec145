"""What the program itself needs of this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from twinplane.check import Check, needed
from twinplane.errors import UsageError
from twinplane.live import tunnel


def checks() -> Iterator[Check]:
    """Yields every check, in the order in which a new machine needs it."""
    yield needed("Python 3.11", sys.version_info[:2] == (3, 11), sys.version.split()[0], "set PYTHON for make")
    for module in ("ansible", "boto3", "pulumi"):
        there = find_spec(module) is not None
        yield needed(f"Python {module}", there, "installed" if there else "not installed", "make setup")
    aws = shutil.which("aws", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    detail = f"{aws}; for SSH to private machines on AWS: {_tunnels()}" if aws else "not on PATH"
    yield needed("aws", aws is not None, detail, "make setup")


def _tunnels() -> str:
    """Returns the AWS CLI that opens tunnels. Stacks with `sshVia: cidrs`, as the lab's, need none."""
    try:
        return tunnel.program()
    except UsageError:
        return f"none, install version {'.'.join(map(str, tunnel.NEEDED))} or newer"
