"""Snapshots: which there are, which is meant, what machines are told, and what AWS keeps to itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tests.compare_cases import GOLDEN
from twinplane import ansible
from twinplane.ansible import Result
from twinplane.errors import Failed, UsageError
from twinplane.live.unanswered import Unanswered
from twinplane.operate import backup as module
from twinplane.outputs import StackOutputs

OLD, NEW = "20261129T120000Z-control-plane-1", "20261130T120000Z-control-plane-1"


class Bucket:
    """Answers of S3, and of nobody else."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    def answer(self, question: Any) -> Any:
        if question.operation == "list_objects_v2":
            taken = datetime(2026, 11, 30, 12, tzinfo=UTC)
            found = [{"Key": f"snapshots/{each}", "Size": 2048, "LastModified": taken} for each in self.ids]
            return {"Contents": found} if found else {}
        return {"Metadata": {"revision": "900", "keys": "300", "etcd": "3.6.8-0"}}


def stack(kind: str = "self-managed", **changes: Any) -> Any:
    outputs = json.loads((GOLDEN / "compare" / f"{kind}.json").read_text())["outputs"]
    found = replace(StackOutputs.from_exports(outputs), **{"backups_key": "-----KEY", **changes})
    return SimpleNamespace(name="s", environment={}, outputs=lambda: found)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Returns what the machines are told; two snapshots are in the bucket."""
    told: list[tuple[str, dict[str, Any]]] = []

    def run(playbook: str, request: dict[str, Any], *_: Any, **__: Any) -> Result:
        told.append((playbook, request))
        return Result(playbook, ok=True, snapshot={"id": NEW})

    monkeypatch.setattr(ansible, "run", run)
    monkeypatch.setattr(module, "Access", lambda *_: Bucket(OLD, NEW))
    monkeypatch.setattr(module, "look", lambda *_: SimpleNamespace(troubles=lambda: []))
    monkeypatch.setattr(module, "SETTLING", 0)
    return told


def silent(_: str) -> None: ...


@pytest.mark.usefixtures("requests")
def test_the_newest_comes_first() -> None:
    newest, oldest = module.snapshots(stack(), silent)
    assert (newest.id, oldest.id) == (NEW, OLD)
    assert (newest.revision, newest.keys, newest.size) == (900, 300, 2048)
    assert newest.export()["taken"] == "2026-11-30T12:00:00+00:00"


def test_a_bucket_that_does_not_answer_is_named(requests: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(Bucket):
        def answer(self, _: Any) -> Any:
            raise Unanswered("AccessDenied: Access Denied")

    monkeypatch.setattr(module, "Access", lambda *_: Closed())
    with pytest.raises(Failed, match=r"s3://.*: AccessDenied: Access Denied"):
        module.snapshots(stack(), silent)
    assert not requests


@pytest.mark.parametrize("wanted", ["", OLD])
def test_a_restore_takes_the_newest_or_the_one_that_is_named(requests: Any, wanted: str) -> None:
    module.restore(stack(), wanted, silent)
    [(playbook, request)] = requests
    assert playbook == "restore"
    assert {each["role"] for each in request["machines"]} == {"control-plane"}
    address = request["machines"][0]["privateIp"]
    assert request["variables"] == {
        "etcd_restore_id": wanted or NEW,
        "etcd_restore_key": "-----KEY",
        "etcd_restore_cluster": f"{request['machines'][0]['name']}=https://{address}:2380",
    }


def test_a_drill_changes_nothing_but_proves(requests: Any) -> None:
    assert module.drill(stack(), "", silent) == {"id": NEW}
    [(playbook, request)] = requests
    assert playbook == "backup"
    assert request["variables"] == {"etcd_backup_check": NEW, "etcd_backup_key": "-----KEY"}


def test_what_cannot_be_restored_is_said_before_anything_is_done(
    requests: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="snapshot x: not in"):
        module.restore(stack(), "x", silent)
    with pytest.raises(UsageError, match="run pulumi up"):
        module.restore(stack(backups_key=""), "", silent)
    monkeypatch.setattr(module, "Access", lambda *_: Bucket())
    with pytest.raises(UsageError, match=r"no snapshot in .*twinplane backup"):
        module.restore(stack(), "", silent)
    assert not requests


@pytest.mark.parametrize("verb", [module.snapshots, module.backup])
def test_the_etcd_of_eks_is_awss(requests: Any, verb: Any) -> None:
    with pytest.raises(UsageError, match="its etcd is AWS's"):
        verb(stack("managed"), silent)
    assert not requests


def test_a_restore_after_which_something_is_down_has_failed(requests: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "look", lambda *_: SimpleNamespace(troubles=lambda: ["s: worker-1: not Ready"]))
    with pytest.raises(Failed, match="is restored, and this does not work: s: worker-1: not Ready"):
        module.restore(stack(), "", silent)
    assert requests
