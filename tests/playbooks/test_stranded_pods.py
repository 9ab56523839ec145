"""Pods that a deleted node has left with addresses of its range of before."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support.playbook_modules import Run

RANGES = {"worker-1": "10.244.1.0/24", "worker-2": "10.244.7.0/24"}


def pod(name: str, node: str, address: str, *, host: bool = False, phase: str = "Running", **more: Any) -> Any:
    return {
        "metadata": {"name": name, "namespace": "shop", **more},
        "spec": {"nodeName": node, "hostNetwork": host},
        "status": {"podIP": address, "phase": phase},
    }


@pytest.mark.parametrize("check", [False, True])
def test_pods_outside_their_nodes_range_start_again_and_no_others(
    module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, run: Run, check: bool
) -> None:
    pods = [
        pod("here", "worker-1", "10.244.1.9"),
        pod("stranded", "worker-2", "10.244.2.9"),
        pod("of-the-machine", "worker-2", "198.18.1.2", host=True),
        pod("over", "worker-2", "10.244.2.10", phase="Succeeded"),
        pod("ending", "worker-2", "10.244.2.11", deletionTimestamp="now"),
        pod("elsewhere", "worker-9", "10.244.2.12"),
        pod("starting", "worker-2", ""),
    ]
    asked: list[tuple[str, ...]] = []

    def kubectl(*argv: str) -> str:
        asked.append(argv)
        return json.dumps({"items": pods})

    loaded = module("stranded_pods")
    monkeypatch.setattr(loaded, "kubectl", kubectl)
    monkeypatch.setattr(sys.modules["ansible.module_utils.kubectl"], "kubectl", kubectl)
    answer = run(loaded, check, ranges=RANGES)
    assert (answer["changed"], answer["pods"]) == (True, ["shop/stranded"])
    deleted = [argv[2] for argv in asked if argv[0] == "delete"]
    assert deleted == ([] if check else ["stranded"])


def test_an_api_that_refuses_is_named(
    module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    loaded = module("stranded_pods")

    def refuse(*_: str) -> str:
        raise loaded.Refused("the API is away")

    monkeypatch.setattr(sys.modules["ansible.module_utils.kubectl"], "kubectl", refuse)
    assert run(loaded, ranges=RANGES)["msg"] == "the API is away"
