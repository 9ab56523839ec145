"""One lab for all lab tests: both clusters come up once, by the README's own command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.support.live import MANAGED, SELF_MANAGED, Cluster, Shell, cluster_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder: `pytest -m "not lab"` is for machines without one."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("lab")


@pytest.fixture(scope="session")
def shell() -> Shell:
    """The user's shell after `eval "$(twinplane lab env)"`, with the lab up."""
    if os.geteuid() != 0:
        pytest.exit("the lab tests boot machines: run them as root", returncode=2)
    twinplane = str(Path(sys.executable).parent / "twinplane")
    up = subprocess.run([twinplane, "lab", "up"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert up.returncode == 0, up.stdout[-4000:] + up.stderr[-4000:]
    answer = subprocess.run([twinplane, "lab", "env", "--json"], cwd=ROOT, text=True, capture_output=True, check=True)
    return Shell({**os.environ, **json.loads(answer.stdout)})


@pytest.fixture(scope="session")
def demo(shell: Shell) -> subprocess.CompletedProcess[str]:
    """`make demo`, once."""
    return shell.run("twinplane", "lab", "demo", timeout=1800)


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
