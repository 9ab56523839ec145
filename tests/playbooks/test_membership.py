"""What a machine has lost of its place in the cluster, on files of the test's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import certificate
from tests.support.playbook_modules import load

module = load("library/membership.py", "library_membership")
ETC = "etc/kubernetes"
NOTHING = {"lacking": [], "phases": [], "lost": [], "strays": [], "expired": False}


def give(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")


@pytest.fixture
def control_plane(tmp_path: Path) -> Path:
    """Returns the root of a control plane that has everything."""
    give(tmp_path, module.MARKER, *module.KUBELET)
    give(tmp_path, *(f"{ETC}/{file}" for file in module.PHASES), *(f"{ETC}/pki/{file}" for file in module.AUTHORITIES))
    return tmp_path


def test_a_machine_that_never_joined_lacks_nothing(tmp_path: Path) -> None:
    assert module.look(True, tmp_path) == {"joined": False, **NOTHING}


def test_a_whole_control_plane_lacks_nothing(control_plane: Path) -> None:
    assert module.look(True, control_plane) == {"joined": True, **NOTHING}


@pytest.mark.parametrize(("file", "phase"), module.PHASES.items())
def test_each_missing_file_has_the_phase_that_writes_it(control_plane: Path, file: str, phase: str) -> None:
    (control_plane / ETC / file).unlink()
    found = module.look(True, control_plane)
    assert found["phases"] == [phase]
    assert found["lacking"] == [f"/{ETC}/{file}"]
    assert found["lost"] == []


def test_a_key_without_its_certificate_goes_too(control_plane: Path) -> None:
    (control_plane / ETC / "pki/etcd/server.crt").unlink()
    (control_plane / ETC / "pki/apiserver.key").unlink()
    found = module.look(True, control_plane)
    assert sorted(found["strays"]) == [f"/{ETC}/pki/apiserver.crt", f"/{ETC}/pki/etcd/server.key"]
    assert found["phases"] == ["certs all"]


@pytest.mark.parametrize("name", module.AUTHORITIES)
def test_what_cannot_be_made_again_is_lost(control_plane: Path, name: str) -> None:
    (control_plane / ETC / "pki" / name).unlink()
    assert module.look(True, control_plane)["lost"] == [f"/{ETC}/pki/{name}"]


@pytest.mark.parametrize("file", module.KUBELET)
def test_a_worker_that_lost_a_file_is_found(tmp_path: Path, file: str) -> None:
    give(tmp_path, module.MARKER, *module.KUBELET)
    assert module.look(False, tmp_path)["lacking"] == []
    (tmp_path / file.lstrip("/")).unlink()
    assert module.look(False, tmp_path)["lacking"] == [file]


def test_an_expired_certificate_of_the_kubelet_is_found(control_plane: Path) -> None:
    path = control_plane / module.CLIENT.lstrip("/")
    now = datetime.now(UTC)
    certificate.write(path, now - timedelta(days=2), now + timedelta(days=1))
    assert not module.look(True, control_plane)["expired"]
    certificate.write(path, now - timedelta(days=2), now - timedelta(days=1))
    found = module.look(True, control_plane)
    assert found["expired"]
    assert found["lacking"] == [module.CLIENT]
    assert found["phases"] == ["kubeconfig kubelet"]
