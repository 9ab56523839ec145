"""The floor: the same hosts made a cluster by raw shell, as fast as one can type it.

Same downloads, same containerd, same kubeadm configuration, same kind of pod network; no Ansible, no Pulumi. What
`pulumi up` costs on top is the price of the two tools.
"""

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab.constants import FABRIC, MIRROR_PORT, REGISTRY_PORT
from lab.toolchain.tool import CONTAINERD, KUBERNETES

MIRROR = f"http://{FABRIC}:{MIRROR_PORT}"
SCRIPTS = Path(__file__).parent / "floor"


@dataclass(frozen=True)
class Ssh:
    """How to reach the hosts: key file and pinned known_hosts file."""

    key: Path
    known_hosts: Path
    user: str = "admin"

    def script(self, address: str, name: str, /, **variables: str) -> str:
        """Runs benchmarks/floor/<name>.sh as root on the host. Returns its standard output; raises RuntimeError."""
        options = ["-i", str(self.key), "-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "BatchMode=yes"]
        head = "".join(f"{key.upper()}='{value}'\n" for key, value in variables.items())
        done = subprocess.run(
            ["ssh", *options, f"{self.user}@{address}", "sudo", "bash"],
            input=head + (SCRIPTS / f"{name}.sh").read_text(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{address} {name}: {done.stderr[-2000:]}")
        return done.stdout


def bring_up(ssh: Ssh, addresses: Sequence[str]) -> None:
    """One control plane (the first address) and workers, all Ready at return."""
    control_plane, *workers = addresses
    downloads = {
        "kubernetes": f"{MIRROR}/kubernetes/v{KUBERNETES}/bin/linux/amd64",
        "containerd": f"{MIRROR}/containerd/containerd-{CONTAINERD}-linux-amd64.tar.gz",
        "registry": f"http://{FABRIC}:{REGISTRY_PORT}",
    }
    with ThreadPoolExecutor(len(addresses)) as pool:
        list(pool.map(lambda each: ssh.script(each, "prepare", **downloads), addresses))
        digest = ssh.script(control_plane, "init", address=control_plane, version=KUBERNETES).split()[-1]
        list(pool.map(lambda each: ssh.script(each, "join", control_plane=control_plane, digest=digest), workers))
        listed = ssh.script(control_plane, "ranges")
        ranges = " ".join(f"{address}={pods}" for address, pods in map(str.split, listed.splitlines()))
        list(pool.map(lambda each: ssh.script(each, "network", own=each, ranges=ranges), addresses))
    ssh.script(control_plane, "ready", count=str(len(addresses)))
