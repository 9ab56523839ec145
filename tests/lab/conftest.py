"""One lab for all lab tests: both clusters come up once, by the README's own command."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from lab.machines.host import Host

PROJECT = Path(__file__).resolve().parents[2]
MANAGED, SELF_MANAGED = "managed-lab", "self-managed-lab"


def processes() -> dict[int, str]:
    """-> pid and command line of every other process of the machine."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found[int(directory.name)] = line
    found.pop(os.getpid())
    return found


def until(what: str, true: Callable[[], Any], seconds: float) -> Any:
    """-> the first answer that is true; fails where there is none in that time."""
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
        """-> the finished process. With `check`, a failure shows what the command printed."""
        done = subprocess.run(
            argv,
            cwd=PROJECT,
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
        """-> what the command printed, read as JSON."""
        return json.loads(self.run(*argv, **options).stdout)

    def outputs(self, stack: str) -> dict[str, Any]:
        """-> the stack's outputs, secrets included."""
        return dict(self.json("pulumi", "stack", "output", "--json", "--show-secrets", "-s", stack))

    def client(self, service: str, keys: tuple[str, ...] = (), **config: Any) -> Any:
        """-> a client of the lab's AWS, with the lab's own keys or with others: id, secret and token."""
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
        """-> kubectl's standard output."""
        return self.shell.run(
            "kubectl", "--kubeconfig", str(self.kubeconfig), *argv, check=check, timeout=timeout
        ).stdout

    def get(self, *argv: str) -> Any:
        """-> `kubectl get ... -o json`."""
        return json.loads(self.kubectl("get", *argv, "-o", "json"))

    def host(self, node: dict[str, Any]) -> Host:
        """-> the lab's host that a Node object is of."""
        [address] = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
        return next(each for each in Host.all() if each.spec.address == address)

    def ready_nodes(self) -> list[dict[str, Any]]:
        """-> Node objects whose Ready condition is True."""
        return [
            node
            for node in self.get("nodes")["items"]
            if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
        ]


@pytest.fixture(scope="session")
def shell() -> Shell:
    """The user's shell after `eval "$(twinplane lab env)"`, with the lab up."""
    if os.geteuid() != 0:
        pytest.exit("the lab tests boot machines: run them as root", returncode=2)
    twinplane = str(Path(sys.executable).parent / "twinplane")
    up = subprocess.run([twinplane, "lab", "up"], cwd=PROJECT, text=True, capture_output=True, check=False)
    assert up.returncode == 0, up.stdout[-4000:] + up.stderr[-4000:]
    answer = subprocess.run(
        [twinplane, "lab", "env", "--json"], cwd=PROJECT, text=True, capture_output=True, check=True
    )
    return Shell({**os.environ, **json.loads(answer.stdout)})


@pytest.fixture(scope="session")
def demo(shell: Shell) -> subprocess.CompletedProcess[str]:
    """`make demo`, once."""
    return shell.run("twinplane", "lab", "demo", timeout=1800)


def cluster_of(shell: Shell, stack: str, folder: Path) -> Cluster:
    """-> the cluster of a stack that is up. `folder` is in memory: the kubeconfig goes there."""
    outputs = shell.outputs(stack)
    kubeconfig = folder / f"{stack}.kubeconfig"
    kubeconfig.touch(0o600)
    kubeconfig.write_text(outputs["kubeconfig"])
    return Cluster(shell, outputs, kubeconfig)


def derived(folder: Path, stack: str, base: str, changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Writes the config of a stack, that of another but for the changes; None takes a value away.

    -> arguments of pulumi that name the stack and its config.
    """
    values = yaml.safe_load((PROJECT / "stacks" / f"Pulumi.{base}.yaml").read_text())
    values["config"] = {name: each for name, each in (values["config"] | changes).items() if each is not None}
    file = folder / f"Pulumi.{stack}.yaml"
    file.write_text(yaml.safe_dump(values))
    return "-s", stack, "--config-file", str(file)


@contextmanager
def brought_up(shell: Shell, stack: str, config: tuple[str, ...], folder: Path) -> Iterator[Cluster]:
    """The cluster of a stack as of `derived`, from `pulumi up` to the end of the stack."""
    shell.run("pulumi", "stack", "init", stack, "--no-select", check=False)
    (PROJECT / "stacks" / f"Pulumi.{stack}.yaml").unlink(missing_ok=True)  # a salt alone; our file gets one of its own
    try:
        shell.run("pulumi", "up", "--yes", "--skip-preview", *config)
        yield cluster_of(shell, stack, folder)
    finally:
        shell.run("pulumi", "destroy", "--yes", "--skip-preview", *config)
        shell.run("pulumi", "stack", "rm", stack, "--yes", "--preserve-config")


@pytest.fixture(scope="session")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory for kubeconfigs and keys."""
    folder = Path("/dev/shm") / tmp_path_factory.mktemp("lab").name
    folder.mkdir(mode=0o700, exist_ok=True)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture(scope="session")
def managed(demo: Any, shell: Shell, secrets_folder: Path) -> Cluster:  # noqa: ARG001
    """The managed cluster, up."""
    return cluster_of(shell, MANAGED, secrets_folder)


@pytest.fixture(scope="session")
def self_managed(demo: Any, shell: Shell, secrets_folder: Path) -> Cluster:  # noqa: ARG001
    """The self-managed cluster, up."""
    return cluster_of(shell, SELF_MANAGED, secrets_folder)


@pytest.fixture(params=["managed", "self_managed"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Each of the two clusters in turn."""
    found: Cluster = request.getfixturevalue(request.param)
    return found
