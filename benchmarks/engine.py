"""The pulumi command, timed."""

import os
import subprocess
import sys
import time

from lab.constants import PROJECT
from lab.environment import environment


def pulumi(stack: str, *arguments: str) -> float:
    """Returns seconds of `pulumi ARGUMENTS` on a stack of the lab; fails as `output`."""
    started = time.monotonic()
    output(stack, *arguments)
    return time.monotonic() - started


def output(stack: str, *arguments: str) -> str:
    """Returns what `pulumi ARGUMENTS` prints on a stack of the lab. All of it ends the benchmark where it fails."""
    done = subprocess.run(
        ["pulumi", *arguments, "--stack", stack, "--non-interactive"],
        cwd=PROJECT, env={**os.environ, **environment()}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def select(stack: str) -> None:
    """Makes the stack, unless there is one."""
    pulumi(stack, "stack", "select", "--create")
