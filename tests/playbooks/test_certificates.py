"""Which certificates the timer renews, and in which order the parts restart."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import certificate
from tests.support.playbook_modules import load

NOW = datetime.now(UTC).replace(microsecond=0)
module = load("roles/certificates/files/renew_certificates.py", "renew_certificates")


@pytest.mark.parametrize(
    ("life", "passed", "expected"),
    [(365, 274, False), (365, 276, True), (365, 400, True), (8, 5, False), (8, 7, True), (3650, 3500, False)],
)
def test_due_is_what_has_less_than_90_days_or_a_quarter_of_its_life(
    tmp_path: Path, life: int, passed: int, expected: bool
) -> None:
    certificate.write(tmp_path / "x.crt", NOW, NOW + timedelta(days=life))
    assert module.due(tmp_path / "x.crt", NOW + timedelta(days=passed)) is expected


def test_the_certificate_inside_a_kubeconfig_counts(tmp_path: Path) -> None:
    certificate.write(tmp_path / "x.crt", NOW, NOW + timedelta(days=365))
    data = base64.b64encode((tmp_path / "x.crt").read_bytes()).decode()
    (tmp_path / "admin.conf").write_text(f"users:\n- user:\n    client-certificate-data: {data}\n")
    assert module.life(tmp_path / "admin.conf") == module.life(tmp_path / "x.crt")


def test_due_certificates_are_renewed_and_what_reads_them_restarts_etcd_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    renewed: list[str] = []
    restarted: list[str] = []
    monkeypatch.setattr(module, "KUBERNETES", tmp_path)
    for name, (file, _) in module.CERTIFICATES.items():
        left = timedelta(days=10 if name in {"etcd-server", "apiserver", "admin.conf"} else 200)
        certificate.write(tmp_path / file, NOW + left - timedelta(days=365), NOW + left)
    real = module.run
    monkeypatch.setattr(
        module, "run", lambda *argv, **more: renewed.append(argv[3]) if argv[0] == "kubeadm" else real(*argv, **more)
    )
    monkeypatch.setattr(module, "stale", lambda part: [1] if part in {"etcd", "kube-apiserver"} else [])
    monkeypatch.setattr(module, "restart", restarted.append)
    module.main()
    assert renewed == ["etcd-server", "apiserver", "admin.conf"]
    assert restarted == ["etcd", "kube-apiserver"]
    assert "renewed apiserver" in capsys.readouterr().out


def test_every_part_that_reads_a_certificate_has_a_health_check() -> None:
    assert {part for _, parts in module.CERTIFICATES.values() for part in parts} == set(module.HEALTH)
