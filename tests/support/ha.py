"""Three control planes in the lab, and what a client sees while one machine is gone. For the test and the benchmark."""

from __future__ import annotations

import http
import http.client
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.machines.cgroup import Cgroup
from lab.machines.host import Host
from tests.support.live import Cluster, derived, until
from twinplane.operate.load import Load, http_get

STACK = "ha-test"
#: Requests a second to the sample app.
RATE = 100
#: Seconds between two questions to the API, and until one counts as unanswered.
EVERY, PATIENCE = 0.5, 5
#: Seconds after which a machine counts as lost for good.
LIMIT = 300


@dataclass(frozen=True)
class Loss:
    """What was seen from the loss of a machine until all was well again. Times in seconds.

    `share` is of the sample app's pods, those that the machine had; `asked` and `unanswered` are questions to the API.
    `steps` are what the machine has again, in the order in which it came, each with the time at which it was there.
    """

    machine: str
    share: float
    healed: bool
    without_api: float
    asked: int
    unanswered: int
    requests: int
    failed: int
    heal: float
    steps: Mapping[str, float]

    def __str__(self) -> str:
        return (
            f"{self.machine}: {self.without_api:.1f} s without API ({self.unanswered} of {self.asked} questions), "
            f"{self.failed} of {self.requests} requests failed where it had {self.share:.0%} of the pods, "
            + (f"{self.heal:.0f} s to heal" if self.healed else f"not healed after {self.heal:.0f} s")
            + "".join(f"\n  {at:6.1f} s {step}" for step, at in self.steps.items())
        )


def lose(cluster: Cluster, machine: str) -> Loss:
    """Kills a machine as a power cut does, the lab boots it again as EC2's recovery would, and watches meanwhile.

    The load goes to the other workers, as a load balancer with health checks would send it.
    """
    exported = {each["name"]: each for each in cluster.outputs["machines"]}
    others = tuple(each["privateIp"] for name, each in exported.items() if "worker" in name and name != machine)
    boot, share = until("its boot", lambda: _boot_id(cluster, machine), 60), _share(cluster, machine)
    host, address = Host(exported[machine]["instanceId"]), exported[machine]["privateIp"]
    seen: dict[str, float] = {}
    without, asked, unanswered = 0.0, 0, 0
    with Load(lambda: others, http_get(cluster.outputs["workload"]["nodePort"]), rate=RATE, limit=LIMIT) as load:
        time.sleep(1)
        begun = last = time.monotonic()
        kill(host.name)
        healed = False
        while not healed and last - begun < LIMIT:
            time.sleep(EVERY)
            good = answers(cluster, "get", "namespace", "default")
            now = time.monotonic()
            without += 0 if good else now - last
            asked, unanswered = asked + 1, unanswered + (not good)
            last = now
            again = {"its sample app's port answers": serves(cluster, address)}
            again["its node is up to date"] = _boot_id(cluster, machine) not in {"", boot}
            if "control-plane" in machine:
                again["its API server is ready"] = api_ready(address)
            for step, there in again.items():
                if there:
                    seen.setdefault(step, time.monotonic())
                else:
                    seen.pop(step, None)
            healed = good and all(again.values()) and well(cluster)
    counted = load.measured()
    heal = time.monotonic() - begun
    times = sorted((at - begun, step) for step, at in {**seen, **started(host)}.items())
    steps = {step: at for at, step in times}
    return Loss(machine, share, healed, without, asked, unanswered, counted.requests, counted.failed, heal, steps)


def started(host: Host) -> dict[str, float]:
    """Returns what runs on a host, with the time at which it started, by the clock that hosts share with this
    machine."""
    found = {"it boots": _since(host, "1")}
    for unit in ("containerd", "kubelet"):
        told = host.run("systemctl", "show", "--value", "-p", "ActiveEnterTimestampMonotonic", unit).stdout
        found[f"{unit} runs"] = int(told) / 1e6
    for process in ("etcd", "kube-apiserver", "kube-proxy"):
        for pid in host.run("pgrep", "--exact", process).stdout.split():
            found[f"{process} starts"] = _since(host, pid)
    return found


def _since(host: Host, pid: str) -> float:
    ticks = host.run("cat", f"/proc/{pid}/stat").stdout.rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def api_ready(address: str) -> bool:
    """Whether the API server at an address is ready, as its load balancer asks."""
    unverified = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(address, 6443, timeout=1, context=unverified)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def well(cluster: Cluster) -> bool:
    """Whether every node is Ready, every API server ready by itself, and the app answers on every machine."""
    machines = cluster.outputs["machines"]
    servers = [each["privateIp"] for each in machines if each["role"] == "control-plane"]
    return (
        ready(cluster) == len(machines)
        and all(answers(cluster, "get", "--raw", "/readyz", "--server", f"https://{each}:6443") for each in servers)
        and all(serves(cluster, each["privateIp"]) for each in machines)
    )


def answers(cluster: Cluster, *argv: str) -> bool:
    """Whether kubectl gets an answer, through the load balancer where it is not told otherwise."""
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), f"--request-timeout={PATIENCE}s", *argv]
    return subprocess.run(command, env=cluster.shell.environment, capture_output=True, check=False).returncode == 0


def serves(cluster: Cluster, address: str) -> bool:
    """Whether the sample app answers on the NodePort of a machine."""
    try:
        http_get(cluster.outputs["workload"]["nodePort"])(address)
    except (OSError, http.client.HTTPException):
        return False
    return True


def kill(instance_id: str) -> None:
    """SIGKILL to every process that the host has now; its supervisor boots it again."""
    for pid in Cgroup(instance_id).processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def ready(cluster: Cluster) -> int:
    """Returns nodes that are Ready; none where the API does not say."""
    path = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    return cluster.kubectl("get", "nodes", f"--request-timeout={PATIENCE}s", "-o", path, check=False).count("True")


def _boot_id(cluster: Cluster, machine: str) -> str:
    limit, path = f"--request-timeout={PATIENCE}s", "jsonpath={.status.nodeInfo.bootID}"
    return cluster.kubectl("get", "node", machine, limit, "-o", path, check=False)


def _share(cluster: Cluster, machine: str) -> float:
    pods = cluster.get("pods", "-n", "twinplane", "-l", "app.kubernetes.io/name=sample-app")["items"]
    return [pod["spec"]["nodeName"] for pod in pods].count(machine) / len(pods)


def config(folder: Path) -> tuple[str, ...]:
    """Writes the stack's config into `folder`, as the project's own file is tracked. Returns pulumi's arguments."""
    return derived(folder, STACK, "ha-lab", {})
