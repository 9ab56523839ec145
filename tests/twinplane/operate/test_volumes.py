"""What waits for the end of volumes, against an API server in a thread."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.kubernetes_api import Api, api_server
from twinplane.operate import volumes

DRIVER = "ebs.csi.aws.com"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with api_server() as api:
        monkeypatch.setattr(sys, "argv", ["volumes", DRIVER])
        monkeypatch.setattr(sys, "stdin", io.StringIO(api.kubeconfig()))
        monkeypatch.setattr(volumes, "WAIT", 0.0)
        monkeypatch.setattr(volumes.time, "sleep", lambda _: None)
        yield api


def volume(driver: str = DRIVER, policy: str = "Delete", claim: str = "data") -> dict[str, Any]:
    spec = {"persistentVolumeReclaimPolicy": policy, "claimRef": {"namespace": "a", "name": claim}}
    return {"metadata": {"name": claim}, "spec": {**spec, "csi": {"driver": driver}}}


def kept(monkeypatch: pytest.MonkeyPatch, *answers: list[dict[str, Any]]) -> None:
    """The cluster has those volumes: each time it is asked the next, at last the same."""
    left = list(answers)
    monkeypatch.setattr(
        volumes, "get", lambda *_: json.dumps({"items": left.pop(0) if len(left) > 1 else left[0]}).encode()
    )


@pytest.mark.usefixtures("cluster")
def test_it_ends_when_the_last_is_gone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(volumes, "WAIT", 60.0)
    kept(monkeypatch, [volume(), volume(claim="b")], [volume()], [volume(policy="Retain"), volume("efs.csi.aws.com")])
    assert volumes.main() == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("cluster")
def test_what_stays_is_told_by_its_claims(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept(monkeypatch, [volume(), volume(claim="b")])
    assert volumes.main() == 1
    assert "2 volumes are left, of the claims a/b, a/data: delete these" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer(
    cluster: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.refuse["GET", "/api/v1/persistentvolumes"] = {"code": 503, "message": "away"}
    assert volumes.main() == 1
    assert "the cluster does not answer: 503" in capsys.readouterr().err
    monkeypatch.setenv(volumes.FORGET, "true")
    monkeypatch.setattr(sys, "stdin", io.StringIO(cluster.kubeconfig()))
    assert volumes.main() == 0


def test_wants_a_driver() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twinplane.operate.volumes"], capture_output=True, check=False, input=b""
    )
    assert (done.returncode, done.stderr.startswith(b"usage:")) == (2, True)
