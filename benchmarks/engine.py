"""The pulumi command, timed."""

import os
import subprocess
import time

from lab.constants import PROJECT
from lab.env import environment


def pulumi(stack: str, *arguments: str) -> float:
    """-> seconds of `pulumi ARGUMENTS` on a stack of the lab. Raises CalledProcessError where it fails."""
    started = time.monotonic()
    subprocess.run(
        ["pulumi", *arguments, "--stack", stack, "--non-interactive"],
        cwd=PROJECT, env={**os.environ, **environment()}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.monotonic() - started


def select(stack: str) -> None:
    """Makes the stack, unless there is one."""
    pulumi(stack, "stack", "select", "--create")
