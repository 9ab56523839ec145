"""Three control planes in the lab, and what a client sees while one machine is gone. For the test and the benchmark."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.hosts.cgroup import Cgroup
from tests.lab.conftest import Cluster, Shell
from twinplane.operate.load import Load, http_get

STACK = "ha-lab"
#: Requests a second to the sample app.
RATE = 100
#: Seconds between two questions to the API, and until one counts as unanswered.
EVERY, PATIENCE = 0.5, 5
#: Seconds that a lost machine has to come back, and its node to be Ready.
HEAL = 180


@dataclass(frozen=True)
class Loss:
    """What was seen from the loss of a machine until all was well again. Times in seconds."""

    machine: str
    without_api: float
    requests: int
    failed: int
    heal: float

    def __str__(self) -> str:
        return (
            f"{self.machine}: {self.without_api:.1f} s without API, {self.failed} of {self.requests} requests failed, "
            f"{self.heal:.0f} s to heal"
        )


def answers(cluster: Cluster) -> bool:
    """Whether kubectl gets an answer through the load balancer, with a read of etcd's majority."""
    argv = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), f"--request-timeout={PATIENCE}s"]
    done = subprocess.run(
        [*argv, "get", "namespace", "default"], env=cluster.shell.environment, capture_output=True, check=False
    )
    return done.returncode == 0


def lose(cluster: Cluster, machine: str) -> Loss:
    """Kills a machine as a power cut does, the lab boots it again as EC2's recovery would, and watches meanwhile."""
    exported = {each["name"]: each for each in cluster.outputs["machines"]}
    everyone = len(exported)
    workers = tuple(
        each["privateIp"] for name, each in exported.items() if each["role"] == "worker" and name != machine
    )
    load = Load(lambda: workers, http_get(cluster.outputs["workload"]["nodePort"]), rate=RATE, limit=HEAL + 60)
    boot = _boot_id(cluster, machine)
    without, last = 0.0, time.monotonic()
    with load:
        time.sleep(1)
        begun = time.monotonic()
        kill(exported[machine]["instanceId"])
        while time.monotonic() - begun < HEAL:
            good = answers(cluster)
            now = time.monotonic()
            without += 0 if good else now - last
            last = now
            if good and len(cluster.ready_nodes()) == everyone and _boot_id(cluster, machine) != boot:
                break
            time.sleep(EVERY)
        heal = time.monotonic() - begun
    seen = load.measured()
    return Loss(machine, without, seen.requests, seen.failed, heal)


def kill(instance_id: str) -> None:
    """SIGKILL to every process that the host has now; its supervisor boots it again."""
    for pid in Cgroup(instance_id).processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _boot_id(cluster: Cluster, machine: str) -> str:
    return str(cluster.get("node", machine)["status"]["nodeInfo"]["bootID"])


def up(shell: Shell, folder: Path) -> Cluster:
    """`pulumi up` of the stack, as a user does it. `folder` is in memory: the kubeconfig goes there."""
    shell.run("pulumi", "stack", "init", STACK, "--no-select", check=False)
    shell.run("pulumi", "up", "--yes", "--skip-preview", "-s", STACK, timeout=600)
    outputs = shell.outputs(STACK)
    kubeconfig = folder / f"{STACK}.kubeconfig"
    kubeconfig.touch(0o600)
    kubeconfig.write_text(outputs["kubeconfig"])
    return Cluster(shell, outputs, kubeconfig)
