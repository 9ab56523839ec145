"""SSH through an EC2 Instance Connect Endpoint: the AWS CLI opens a tunnel to a machine, by the id of its instance.

Everywhere, `environment` is a stack's: where the AWS CLI is, and whose credentials it uses. Default: the process's own.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from twinplane.errors import UsageError

#: The first AWS CLI with `open-tunnel` (https://github.com/aws/aws-cli/blob/v2/CHANGELOG.rst); version 1 has none.
NEEDED = (2, 12, 0)
#: Machines that one endpoint is enough for. It has 20 connections at a time
#: (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/eice-quotas.html), and a comparison holds two to each machine:
#: Ansible's, which ssh keeps open, and that of the question whether SSH answers.
MACHINES = 10
#: Seconds that a machine has to greet: the command starts, asks AWS for the machine and its endpoint, and connects.
TIMEOUT = 15.0


def program(environment: Mapping[str, str] = os.environ) -> str:
    """Returns path of the first AWS CLI in PATH that opens tunnels. Raises UsageError where there is none."""
    seen = []
    for folder in os.get_exec_path(environment):
        path = Path(folder, "aws").absolute()
        if path.is_file() and os.access(path, os.X_OK):
            found = version(str(path))
            if found >= NEEDED:
                return str(path)
            seen.append(f"{path} is {'.'.join(map(str, found)) or 'no AWS CLI'}")
    raise UsageError(
        f"SSH goes through an EC2 Instance Connect Endpoint, which takes AWS CLI {'.'.join(map(str, NEEDED))} or newer "
        f"({'; '.join(seen) or 'there is none in PATH'}): install version 2, or set sshVia: cidrs"
    )


@cache
def version(path: str) -> tuple[int, ...]:
    """Returns what the AWS CLI says of itself, (2, 31, 0); empty for what is none."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.match(r"aws-cli/(\d+)\.(\d+)\.(\d+)", said.stdout or said.stderr)
    return tuple(map(int, found.groups())) if found else ()


def command(instance: str, region: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns what connects its stdin and stdout with the SSH server of an instance. Raises UsageError as `program`."""
    return [program(environment), "ec2-instance-connect", "open-tunnel", "--instance-id", instance, "--region", region]


def options(machines: Sequence[Mapping[str, Any]], environment: Mapping[str, str] = os.environ) -> str:
    """Returns ssh's options to reach all of these machines; empty where they are reached without a tunnel.

    Raises UsageError as `program`, and where only some have one.
    """
    regions = {machine.get("sshTunnel", "") for machine in machines}
    if not any(regions):
        return ""
    if len(regions) > 1:
        raise UsageError(
            f"machines: sshTunnel differs, {', '.join(sorted(regions))}; give them as the stack exports them"
        )
    path, *rest = command("%h", regions.pop(), environment)
    proxy = shlex.join([path.replace("%", "%%"), *rest])
    return f"-o {shlex.quote(f'ProxyCommand={proxy}')}"


def greeting(instance: str, region: str, environment: Mapping[str, str] = os.environ) -> str:
    """Returns the first line that the instance's SSH server says. Raises OSError with the reason where it says none."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    argv = command(instance, region, environment)
    with subprocess.Popen(argv, env=environment, **pipes) as tunnel:  # type: ignore[call-overload]
        try:
            ready, _, _ = select.select([tunnel.stdout], [], [], TIMEOUT)
            if not ready:
                raise OSError("no answer")
            if said := os.read(tunnel.stdout.fileno(), 80):
                return str(said.decode(errors="replace")).splitlines()[0]
        finally:
            tunnel.terminate()
        told = [line.strip() for line in tunnel.stderr.read().decode(errors="replace").splitlines() if line.strip()]
    raise OSError(told[-1] if told else "the tunnel was closed")
