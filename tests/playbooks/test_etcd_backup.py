"""What a machine puts into the bucket, and what comes out of it: encrypted, whole, or refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.playbook_modules import load
from twinplane.generate.certificates import self_signed

module = load("roles/etcd_backup/files/etcd_backup.py", "etcd_backup")
ID = "20261130T120000Z-control-plane-1"


class Bucket:
    """A bucket in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Metadata": {"hash": "7", "bucket": Bucket}, "ContentLength": (self.folder / Key).stat().st_size}

    def download_file(self, _: str, key: str, target: str) -> None:
        shutil.copy(self.folder / key, target)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A control plane with one snapshot in its bucket. Returns the key pair."""
    made = self_signed(["backups"])
    kubernetes = tmp_path / "kubernetes"
    (kubernetes / "pki/etcd").mkdir(parents=True)
    (kubernetes / "pki/ca.key").write_text("the authority's key")
    (kubernetes / "api-server").mkdir()
    (kubernetes / "api-server/encryption.key").write_text("the key of Secrets")
    (kubernetes / "etcd-backup.crt").write_text(made["certificate"])
    monkeypatch.setattr(module, "KUBERNETES", kubernetes)
    monkeypatch.setattr(module, "CERTIFICATE", kubernetes / "etcd-backup.crt")
    monkeypatch.setattr(module, "bucket", lambda: (Bucket(tmp_path), "b"))
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "snapshot.db").write_bytes(b"etcd" * 300_000)
    module.pack(tmp_path / "snapshot.db", tmp_path / "snapshots" / ID)
    return made


def test_a_snapshot_comes_back_with_the_keys(tmp_path: Path, pair: dict[str, str]) -> None:
    known = module.fetch(ID, tmp_path / "data", pair["private_key"].encode())
    assert known == {"hash": "7", "bucket": "b"}
    assert (tmp_path / "data/snapshot.db").read_bytes() == (tmp_path / "snapshot.db").read_bytes()
    assert (tmp_path / "data/pki/ca.key").read_text() == "the authority's key"
    assert (tmp_path / "data/api-server/encryption.key").read_text() == "the key of Secrets"


@pytest.mark.usefixtures("pair")
def test_nobody_reads_it_in_the_bucket(tmp_path: Path) -> None:
    stored = (tmp_path / "snapshots" / ID).read_bytes()
    assert b"etcdetcd" not in stored
    assert b"authority" not in stored


@pytest.mark.parametrize("harm", ["torn", "changed", "another key"])
def test_what_is_not_whole_is_refused(tmp_path: Path, pair: dict[str, str], harm: str) -> None:
    stored, key = tmp_path / "snapshots" / ID, pair["private_key"]
    content = bytearray(stored.read_bytes())
    if harm == "torn":
        del content[len(content) // 2 :]
    elif harm == "changed":
        content[len(content) // 2] ^= 1
    else:
        key = self_signed(["others"])["private_key"]
    stored.write_bytes(content)
    with pytest.raises(module.Failure, match="torn, or was encrypted for another key"):
        module.fetch(ID, tmp_path / "data", key.encode())


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "latest", "20261130T120000Z-a/b"])
def test_only_ids_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(module.Failure, match="not the id of a snapshot"):
        module.fetch(name, tmp_path, b"")


def test_the_image_is_that_of_the_static_pod_also_while_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KUBERNETES", tmp_path)
    with pytest.raises(module.Failure, match="there is no etcd here"):
        module.image()
    (tmp_path / "restoring").mkdir()
    (tmp_path / "restoring/etcd.yaml").write_text("  - command: [etcd]\n    image: registry.k8s.io/etcd:3.6.8-0\n")
    assert module.image() == "registry.k8s.io/etcd:3.6.8-0"


def test_keys_are_counted_as_etcdctl_prints_them() -> None:
    printed = '"ClusterID" : 14841639068965178418\n"Revision" : 1204\n"More" : false\n"Count" : 312\n'
    assert module.counted(printed)["Count"] == "312"
    assert module.counted(printed)["Revision"] == "1204"
