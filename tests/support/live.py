"""A user's shell and the clusters of the lab, as its tests and benchmarks see them."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from lab.constants import API_URL
from lab.machines.host import Host
from tests import ROOT

MANAGED, SELF_MANAGED = "managed-lab", "self-managed-lab"


def processes() -> dict[int, str]:
    """Returns pid and command line of every other process of the machine."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found[int(directory.name)] = line
    found.pop(os.getpid())
    return found


def until(what: str, true: Callable[[], Any], seconds: float) -> Any:
    """Returns the first answer that is true; fails where there is none in that time."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)
    return found


@dataclass(frozen=True)
class Shell:
    """Runs commands as a user would: in the project's folder, with the lab's environment."""

    environment: dict[str, str]

    def run(
        self, *argv: str, check: bool = True, timeout: float = 900, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Returns the finished process. With `check`, a failure shows what the command printed."""
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(argv)} -> {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
        return done

    def json(self, *argv: str, **options: Any) -> Any:
        """Returns what the command printed, read as JSON."""
        return json.loads(self.run(*argv, **options).stdout)

    def outputs(self, stack: str) -> dict[str, Any]:
        """Returns the stack's outputs, secrets included."""
        return dict(self.json("pulumi", "stack", "output", "--json", "--show-secrets", "-s", stack))

    def client(self, service: str, keys: tuple[str, ...] = (), **config: Any) -> Any:
        """Returns a client of the lab's AWS, with the lab's own keys or with others: id, secret and token."""
        own = self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"]
        session = boto3.session.Session(*(keys or own), region_name="us-east-1")
        url = self.environment["AWS_ENDPOINT_URL"]
        return session.client(service, endpoint_url=url, config=Config(**config))  # type: ignore[call-overload]


@dataclass(frozen=True)
class Cluster:
    """A live cluster, seen through its own kubeconfig."""

    shell: Shell
    outputs: dict[str, Any]
    kubeconfig: Path

    def kubectl(self, *argv: str, check: bool = True, timeout: float = 120) -> str:
        """Returns kubectl's standard output."""
        return self.shell.run(
            "kubectl", "--kubeconfig", str(self.kubeconfig), *argv, check=check, timeout=timeout
        ).stdout

    def get(self, *argv: str) -> Any:
        """Returns `kubectl get ... -o json`."""
        return json.loads(self.kubectl("get", *argv, "-o", "json"))

    def host(self, node: dict[str, Any]) -> Host:
        """Returns the lab's host that a Node object is of."""
        [address] = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
        return next(each for each in Host.all() if each.spec.address == address)

    def ready_nodes(self) -> list[dict[str, Any]]:
        """Returns Node objects whose Ready condition is True."""
        return [
            node
            for node in self.get("nodes")["items"]
            if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
        ]


def cluster_of(shell: Shell, stack: str, folder: Path) -> Cluster:
    """Returns the cluster of a stack that is up. `folder` is in memory: the kubeconfig goes there."""
    outputs = shell.outputs(stack)
    kubeconfig = folder / f"{stack}.kubeconfig"
    kubeconfig.touch(0o600)
    kubeconfig.write_text(outputs["kubeconfig"])
    return Cluster(shell, outputs, kubeconfig)


def derived(folder: Path, stack: str, base: str, changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Writes the config of a stack, that of another but for the changes; None takes a value away.

    -> arguments of pulumi that name the stack and its config.
    """
    values = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{base}.yaml").read_text())
    values["config"] = {name: each for name, each in (values["config"] | changes).items() if each is not None}
    file = folder / f"Pulumi.{stack}.yaml"
    file.write_text(yaml.safe_dump(values))
    return "-s", stack, "--config-file", str(file)


@contextmanager
def brought_up(shell: Shell, stack: str, config: tuple[str, ...], folder: Path) -> Iterator[Cluster]:
    """The cluster of a stack as of `derived`, from `pulumi up` to the end of the stack."""
    shell.run("pulumi", "stack", "init", stack, "--no-select", check=False)
    (ROOT / "stacks" / f"Pulumi.{stack}.yaml").unlink(missing_ok=True)  # a salt alone; our file gets one of its own
    try:
        shell.run("pulumi", "up", "--yes", "--skip-preview", *config)
        yield cluster_of(shell, stack, folder)
    finally:
        shell.run("pulumi", "destroy", "--yes", "--skip-preview", *config)
        shell.run("pulumi", "stack", "rm", stack, "--yes", "--preserve-config")


def health() -> dict[str, Any]:
    with urllib.request.urlopen(f"{API_URL}/lab/health", timeout=5) as answer:
        return dict(json.load(answer))


def kill_daemon() -> None:
    """kill -9; returns when its supervisor has brought up another one."""
    before = health()["pid"]
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            now = health()
        except OSError:
            now = {"ready": False, "pid": before}
        if now["ready"] and now["pid"] != before:
            return
        time.sleep(0.3)
    pytest.fail("the daemon did not come back within 90 s")


def inside(pid: int | None, *argv: str) -> list[str]:
    """Returns the command, in the network of a process."""
    return ["nsenter", "--target", str(pid), "--net", *argv]


def pod(url: str) -> str:
    """Returns which one answered; "" where none did."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return str(json.load(answer)["pod"])
    except OSError:
        return ""
