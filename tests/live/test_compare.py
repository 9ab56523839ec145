"""Compare on the two live clusters: it tells them apart, and sees what stops."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.machines.host import Host
from tests.support.live import MANAGED, SELF_MANAGED, Cluster, Shell

MANIFEST = "/etc/kubernetes/manifests/kube-scheduler.yaml"
ASIDE = "/root/kube-scheduler.yaml"


def compare(shell: Shell, *, code: int | None = 0) -> Any:
    """Returns `twinplane compare --json`; fails where the exit code is another one."""
    done = shell.run("twinplane", "compare", "--json", check=False, timeout=120)
    assert code is None or done.returncode == code, done.stdout[-4000:] + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def seen(shell: Shell, managed: Cluster, self_managed: Cluster) -> Any:  # noqa: ARG001
    """One comparison of both clusters."""
    return compare(shell)


@pytest.mark.parametrize("component", ["kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager"])
def test_each_component_runs_on_your_machine_on_one_side_only(seen: Any, component: str) -> None:
    theirs, yours = (seen[side]["components"][component] for side in ("managed", "selfManaged"))
    for cells in (theirs, yours):
        assert cells["running"]["value"].startswith("running: ")
    assert "static pod" in yours["visible in the API"]["value"]
    assert yours["machine"]["value"].startswith("yours: ")
    assert "(i-" in yours["machine"]["value"]
    assert yours["SSH"]["value"].startswith("yes: admin@")
    assert yours["restarted by"]["value"].startswith("kubelet on ")
    assert "static pod" not in theirs["visible in the API"]["value"]
    assert theirs["machine"]["value"].startswith("none of your ")
    assert theirs["SSH"]["value"].startswith("no: ")
    assert theirs["restarted by"]["value"] == "AWS (EKS)"


def test_versions_are_those_that_run(seen: Any) -> None:
    yours = seen["selfManaged"]["components"]
    assert yours["etcd"]["version"]["value"].startswith("v3.6.")
    for component in ("kube-apiserver", "kube-scheduler", "kube-controller-manager"):
        assert yours[component]["version"]["value"] == "v1.36.3"
    assert seen["managed"]["components"]["kube-apiserver"]["version"]["value"] == "v1.36.3"


def test_every_cell_has_a_probe_an_answer_and_a_time(seen: Any) -> None:
    for side in ("managed", "selfManaged"):
        for rows in (seen[side]["components"], seen[side]["nodes"]):
            for cells in rows.values():
                for cell in cells.values():
                    assert cell["evidence"], cell
                    for each in cell["evidence"]:
                        assert each["probe"]
                        assert each["question"]
                        assert each["time"].startswith("20")
                        assert "answer" in each


def test_nodes_tell_who_patches_them(seen: Any) -> None:
    yours, theirs = seen["selfManaged"]["nodes"], seen["managed"]["nodes"]
    assert len(yours) == 3
    assert len(theirs) == 2
    assert all(cells["patched by"]["value"].startswith("you: apt") for cells in yours.values())
    assert all(cells["patched by"]["value"].startswith("AWS") for cells in theirs.values())
    for cells in (*yours.values(), *theirs.values()):
        assert cells["status"]["value"] == "Ready"
        assert cells["OS"]["value"].startswith("Debian GNU/Linux 12")
        assert cells["kubelet"]["value"] == "v1.36.3"
        assert cells["runtime"]["value"].startswith("containerd://2.")
        assert "unknown" not in {cell["value"] for cell in cells.values()}


def test_certificates_of_both_sides_have_days_left(seen: Any) -> None:
    yours, theirs = seen["selfManaged"]["certificates"], seen["managed"]["certificates"]
    assert all(each["daysLeft"] > 0 for each in (*yours, *theirs))
    assert {each["name"] for each in theirs} == {"the API server's", "the kubeconfig's authority"}
    by_machine = {(each["machine"], each["name"]) for each in yours}
    names = ("pki/apiserver.crt", "pki/ca.crt", "pki/front-proxy-ca.crt", "pki/etcd/ca.crt", "admin.conf")
    machines = list(seen["selfManaged"]["nodes"])
    assert {(machines[0], f"/etc/kubernetes/{name}") for name in names} <= by_machine
    assert {(name, "/var/lib/kubelet/pki/kubelet-client-current.pem") for name in machines} <= by_machine
    assert ("", "the kubeconfig's client") in by_machine


def test_upkeep_is_seen_on_both_sides(seen: Any) -> None:
    for side, wanted in (("managed", "1.36"), ("selfManaged", "1.36.3")):
        cells = seen[side]["upkeep"]
        assert cells["versions"]["value"] == f"{wanted}, as wanted"
        assert {"coredns", "sample-app"} <= cells.keys()
        assert all(each["evidence"] for each in cells.values())
    nodes = seen["selfManaged"]["nodes"]
    assert len({cells["pods' range"]["value"] for cells in nodes.values()}) == len(nodes)
    assert ", etcd " in next(iter(nodes.values()))["free space"]["value"]


@pytest.fixture
def without_scheduler(self_managed: Cluster) -> Iterator[str]:
    """Returns the control plane's name, its scheduler's manifest moved away and put back."""
    machine = next(each for each in self_managed.outputs["machines"] if each["role"] == "control-plane")
    host = Host(machine["instanceId"])
    host.run("mv", MANIFEST, ASIDE)
    yield machine["name"]
    host.run("mv", ASIDE, MANIFEST)


def wait_for(shell: Shell, state: str) -> Any:
    """Returns the self-managed scheduler's `running` cell once it is in the state; the kubelet looks every 20 s."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        cell = compare(shell, code=None)["selfManaged"]["components"]["kube-scheduler"]["running"]
        if cell["state"] == state:
            return cell
        time.sleep(3)
    return pytest.fail(f"kube-scheduler did not become {state}: {cell}")


def test_a_stopped_scheduler_is_seen_and_so_is_its_return(shell: Shell, without_scheduler: str) -> None:
    cell = wait_for(shell, "bad")
    assert cell["value"].startswith("stopped: ")
    found = compare(shell, code=1)
    (trouble,) = [trouble for trouble in found["troubles"] if "kube-scheduler" in trouble]
    assert f"its manifest is gone from /etc/kubernetes/manifests on {without_scheduler}" in trouble
    assert found["managed"]["components"]["kube-scheduler"]["running"]["value"].startswith("running: ")


def test_a_scheduler_that_came_back_is_seen(shell: Shell) -> None:
    assert wait_for(shell, "good")["value"].startswith("running: ")


@pytest.mark.usefixtures("seen")
def test_the_page_is_written(shell: Shell, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    shell.run("twinplane", "compare", "--html", str(page))
    assert "<svg" in page.read_text()


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("compare", MANAGED, MANAGED), "is managed, not self-managed"),
        (("compare", SELF_MANAGED, MANAGED), "is self-managed, not managed"),
        (("compare", "nope", SELF_MANAGED), "stack nope: unknown"),
        (("patch", "nope"), "stack nope: unknown"),
    ],
)
def test_wrong_stacks_are_one_line_and_exit_code_2(shell: Shell, argv: tuple[str, ...], line: str) -> None:
    done = shell.run("twinplane", *argv, check=False)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
