"""The file from which everything resumes."""

from pathlib import Path

import pytest

from lab.cloud.eks.model import EksError
from lab.cloud.eks.state import Cluster, Node, Nodegroup, Store


def _cluster() -> Cluster:
    group = Nodegroup({"nodegroupName": "ng"}, nodes=[Node("t-0", "20260901", "198.18.128.0/26", "subnet-a")])
    return Cluster(
        {"name": "demo", "status": "ACTIVE"}, "abc", "198.19.240.2", "198.18.128.0/21", nodegroups={"ng": group}
    )


def test_what_was_changed_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "eks.json")
    with store.change() as clusters:
        clusters["demo"] = _cluster()
    assert Store(tmp_path / "eks.json").read() == store.read()
    assert store.cluster("demo").nodegroups["ng"].nodes[0].block == "198.18.128.0/26"
    with store.change() as clusters:
        clusters["demo"].pools = {"general-purpose": clusters["demo"].nodegroups["ng"]}
    assert Store(tmp_path / "eks.json").read() == store.read()


def test_a_file_of_before_pools_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "eks.json")
    with store.change() as clusters:
        clusters["demo"] = _cluster()
    store.path.write_text(store.path.read_text().replace('"pools": {}, ', ""))
    assert "pools" not in store.path.read_text()
    assert Store(tmp_path / "eks.json").read() == store.read()


def test_a_file_of_before_tokens_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "eks.json")
    with store.change() as clusters:
        clusters["demo"] = _cluster()
    text = store.path.read_text().replace('"tokens": {}, ', "")
    store.path.write_text(text.replace('"launched": 0, ', '"launched": 0, "token": "t", '))
    assert "tokens" not in store.path.read_text()
    assert '"token": "t"' in store.path.read_text()
    assert Store(tmp_path / "eks.json").read() == store.read()


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "eks.json")
    with store.change() as clusters:
        clusters["demo"] = _cluster()
    before = store.path.read_text()

    def fail() -> None:
        with store.change() as clusters:
            clusters["demo"].api["status"] = "DELETING"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.cluster("demo").status == "ACTIVE"
    assert store.path.read_text() == before


def test_what_is_read_is_a_copy(tmp_path: Path) -> None:
    store = Store(tmp_path / "eks.json")
    with store.change() as clusters:
        clusters["demo"] = _cluster()
    store.read()["demo"].api["status"] = "DELETING"
    assert store.cluster("demo").status == "ACTIVE"


def test_a_write_cut_short_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "eks.json")
    with store.change() as clusters:
        clusters["demo"] = _cluster()

    def cut(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def clear() -> None:
        with store.change() as clusters:
            clusters.clear()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut)
        with pytest.raises(OSError, match="No space"):
            clear()
    assert list(Store(store.path).read()) == ["demo"]
    assert list(store.read()) == ["demo"]


def test_no_such_cluster(tmp_path: Path) -> None:
    with pytest.raises(EksError, match="No cluster found for name: x"):
        Store(tmp_path / "eks.json").cluster("x")
