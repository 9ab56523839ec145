"""Patch on the two live clusters: updates pending before, none after, and the sample app answers meanwhile."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import ROOT
from tests.support.live import MANAGED, SELF_MANAGED, Cluster, Shell
from twinplane.operate.load import Load, http_get

#: Of all requests during a patch: what a client without retries may lose.
TOLERATED = 0.02


def patched(shell: Shell, stack: str) -> Any:
    """Returns `twinplane patch STACK --json` of nodes that have something pending."""
    result = shell.json("twinplane", "patch", stack, "--json", timeout=1500)
    if not result["changed"]:
        pytest.skip(f"the nodes of {stack} are up to date already: `make down` first")
    return result


def answers(result: Any) -> None:
    """Fails where the client lost too much."""
    load = result["load"]
    assert load["requests"] > 100
    assert load["failed"] <= TOLERATED * load["requests"], json.dumps(load)


def test_self_managed_nodes_are_updated_in_place(shell: Shell, self_managed: Cluster) -> None:
    ids = {node["metadata"]["uid"] for node in self_managed.ready_nodes()}
    result = patched(shell, SELF_MANAGED)
    assert any("(0 security)" not in value for value in result["before"].values())
    assert all(value.endswith("(0 security)") for value in result["after"].values()), result["after"]
    assert {node["metadata"]["uid"] for node in self_managed.ready_nodes()} == ids
    answers(result)


def test_managed_nodes_are_replaced_by_newer_ones(shell: Shell, managed: Cluster) -> None:
    ids = {node["metadata"]["uid"] for node in managed.ready_nodes()}
    result = patched(shell, MANAGED)
    assert all("newer image" in value for value in result["before"].values())
    assert all("newest image" in value for value in result["after"].values()), result["after"]
    assert len(result["after"]) == len(result["before"])
    assert not ids & {node["metadata"]["uid"] for node in managed.ready_nodes()}
    answers(result)


def test_managed_nodes_are_replaced_by_machines_of_another_type(shell: Shell, managed: Cluster, tmp_path: Path) -> None:
    """There by a new version of the launch template, to which the cloud rolls the nodes; back with another node group,
    which comes before the old one is drained and goes. A client of the load balancer loses nothing."""

    def types() -> set[str]:
        return {node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in managed.ready_nodes()}

    config = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{MANAGED}.yaml").read_text())
    config["config"]["twinplane:instanceType"] = "t3a.medium"
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(config))
    ids, usual = {node["metadata"]["uid"] for node in managed.ready_nodes()}, types()
    up = ("pulumi", "up", "--yes", "--skip-preview", "-s", MANAGED)
    made = shell.json("pulumi", "stack", "export", "-s", MANAGED)["deployment"]["resources"]
    [group] = [each["urn"] for each in made if each["type"] == "aws:eks/nodeGroup:NodeGroup"]
    address = shell.outputs(MANAGED)["workload"]["balancerAddress"]
    with Load(lambda: (address,), http_get(80)) as load:
        shell.run(*up, "--config-file", str(other))
        rolled = load.measured()
        assert types() == {"t3a.medium"}
        assert not ids & {node["metadata"]["uid"] for node in managed.ready_nodes()}
        ids = {node["metadata"]["uid"] for node in managed.ready_nodes()}
        shell.run(*up, "--replace", group)
    assert types() == usual
    assert not ids & {node["metadata"]["uid"] for node in managed.ready_nodes()}
    print(f"rolled: {rolled}; with the group replaced: {load.measured()}")
    assert (rolled.failed, load.measured().failed) == (0, 0), f"{rolled}; {load.measured()}"
    assert rolled.requests > 100


@pytest.mark.usefixtures("managed", "self_managed")
@pytest.mark.parametrize("stack", [MANAGED, SELF_MANAGED])
def test_a_second_patch_has_nothing_to_do(shell: Shell, stack: str) -> None:
    done = shell.run("twinplane", "patch", stack)
    assert f"{stack}: nothing to do" in done.stdout


@pytest.mark.usefixtures("managed", "self_managed")
@pytest.mark.parametrize("stack", [MANAGED, SELF_MANAGED])
def test_the_stacks_state_is_the_truth_afterwards(shell: Shell, stack: str) -> None:
    shell.run("pulumi", "up", "--yes", "--skip-preview", "--expect-no-changes", "-s", stack)


def test_what_hands_and_crashes_leave_on_a_node_is_seen_and_told(shell: Shell, self_managed: Cluster) -> None:
    """A held package, one half installed, and a restart that is due: none is passed over, nothing stays cordoned."""
    (held_name, held), (broken_name, broken) = (
        (node["metadata"]["name"], self_managed.host(node))
        for node in self_managed.ready_nodes()
        if "node-role.kubernetes.io/control-plane" not in node["metadata"]["labels"]
    )
    oldest = "$(apt-cache madison {} | awk '{{print $3}}' | sort -V | head -1)"
    install = f"apt-get install -y --allow-downgrades tzdata={oldest.format('tzdata')}"
    done = held.run("sh", "-c", f"{install} && apt-mark hold tzdata && touch /run/reboot-required", timeout=120)
    assert done.returncode == 0, done.stderr
    unpack = f"cd /tmp && apt-get download openssl={oldest.format('openssl')} && dpkg --unpack openssl_*.deb"
    assert broken.run("sh", "-c", unpack, timeout=120).returncode == 0
    try:
        result = patched(shell, SELF_MANAGED)
    finally:
        held.run("sh", "-c", "apt-mark unhold tzdata && apt-get install -y tzdata", timeout=120)
    notes = "\n".join(result["notes"])
    assert f"{held_name}: tzdata is held, stays at " in notes
    assert f"{broken_name}: finished what an interrupted dpkg left half installed: openssl" in notes
    assert not any("reboot required" in value for value in result["after"].values())
    assert result["after"][broken_name].endswith("(0 security)")
    assert result["troubles"] == []
    assert not any(node["spec"].get("unschedulable") for node in self_managed.ready_nodes())
