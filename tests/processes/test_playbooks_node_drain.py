"""The role node_drain with real ansible-playbook, and a program in the place of kubectl."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes.conftest import PLAY
from twinplane import ansible

KUBECTL = """#!{python}
import json, pathlib, sys
cluster = pathlib.Path({cluster!r})
state, argv = json.loads(cluster.read_text()), sys.argv[1:]
if argv[0] == "get" and argv[1] == "node":
    print("true" if state["cordoned"] else "", end="")
elif argv[0] == "get":
    print(json.dumps({{"items": state[argv[1]]}}))
elif argv[0] == "create" and state["held"]:
    sys.exit("Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.")
elif argv[0] == "create":
    state["pods"] = []
else:
    state["cordoned"] = argv[0] == "cordon"
    state["done"].append(argv)
cluster.write_text(json.dumps(state))
"""
BUDGET = {"metadata": {"name": "gold", "namespace": "default"}, "spec": {"selector": {}}, "status": {}}


def pod(name: str, owners: list[dict[str, Any]]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": name, "ownerReferences": owners}
    return {"metadata": metadata, "status": {"phase": "Running"}}


OWNED = pod("precious", [{"kind": "ReplicaSet", "controller": True}])


ROOT = ansible.PLAYBOOKS


@pytest.fixture
def cluster(playbooks: Path, tmp_path: Path) -> Path:
    """Returns the file that the cluster is, with one pod on worker-1, and a playbook that drains it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    names = {"library": "library", "module_utils": "module_utils", "roles_path": "roles"}
    with (tmp_path / "ansible.cfg").open("a") as config:
        config.writelines(f"{name} = {ROOT / path}\n" for name, path in names.items())
    (playbooks / "site.yml").write_text(
        PLAY
        + f"    - run_once: true\n      environment: {{PATH: '{programs}:/usr/bin:/bin'}}\n      block:\n"
        + "        - ansible.builtin.include_role: {name: node_drain}\n"
        + "          vars: {node_drain_name: worker-1, node_drain_timeout: '{{ limit | default(20) }}'}\n"
    )
    path = tmp_path / "cluster.json"
    state = {"cordoned": False, "held": False, "pods": [OWNED], "poddisruptionbudgets": [BUDGET], "done": []}
    path.write_text(json.dumps(state))
    (programs / "kubectl").write_text(KUBECTL.format(python=sys.executable, cluster=str(path)))
    (programs / "kubectl").chmod(0o755)
    return path


def change(cluster: Path, **values: Any) -> None:
    cluster.write_text(json.dumps(json.loads(cluster.read_text()) | values))


def test_the_pods_leave_and_the_node_stays_cordoned(cluster: Path, request_: dict[str, Any]) -> None:
    result = ansible.run("site", {**request_, "variables": {"limit": 300}})
    assert result.failures == []
    state = json.loads(cluster.read_text())
    assert (state["pods"], state["cordoned"]) == ([], True)


def test_a_budget_that_yields_nothing_is_named_and_the_node_takes_pods_again(
    cluster: Path,
    request_: dict[str, Any],
) -> None:
    change(cluster, held=True)
    lines: list[str] = []
    result = ansible.run("site", request_, lines.append)
    held = "worker-1: default/precious waits: PodDisruptionBudget default/gold allows 0 disruptions"
    assert result.failures == [f"control-plane-1: Evict its pods: {held}; no time is left"]
    assert any(f" waiting  Evict its pods: {held}; " in line and line.endswith(" s left") for line in lines)
    assert [argv[0] for argv in json.loads(cluster.read_text())["done"]] == ["cordon", "uncordon"]


def test_a_node_that_someone_else_had_cordoned_stays_so(cluster: Path, request_: dict[str, Any]) -> None:
    change(cluster, held=True, cordoned=True)
    assert not ansible.run("site", request_).ok
    assert json.loads(cluster.read_text())["cordoned"] is True


def test_a_pod_without_a_controller_stops_it_before_the_cordon(
    cluster: Path,
    request_: dict[str, Any],
) -> None:
    change(cluster, pods=[OWNED, pod("alone", [])])
    [failure] = ansible.run("site", request_).failures
    assert "default/alone has no controller" in failure
    assert json.loads(cluster.read_text())["done"] == []
