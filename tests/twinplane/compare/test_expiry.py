"""When certificates expire: the soonest in the text, all of them as data."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import certificate
from tests.support.compare_cases import FACTS, TIME, cluster


def expire(path: str, when: str) -> Any:
    """Returns a change by which cp-1's certificate at that path expires then."""

    def change(answers: dict[str, Any]) -> None:
        (found,) = [each for each in answers[FACTS]["facts"]["cp-1"]["certificates"] if each["path"] == path]
        found["expires"] = when

    return change


def test_all_certificates_are_data_the_soonest_first() -> None:
    found = cluster("self-managed").export()["certificates"]
    assert len(found) == 13
    assert found[0] == {
        "name": "/etc/kubernetes/admin.conf",
        "machine": "cp-1",
        "subject": "O = kubeadm:cluster-admins, CN = kubernetes-admin",
        "authority": False,
        "expires": "2027-11-24T20:00:00+00:00",
        "daysLeft": 364,
    }
    assert [each["daysLeft"] for each in found] == sorted(each["daysLeft"] for each in found)
    names = {(each["name"], each["machine"]) for each in found}
    assert {("the API server's", ""), ("the kubeconfig's client", ""), ("the kubeconfig's authority", "")} <= names
    assert {("/etc/kubernetes/pki/etcd/ca.crt", "cp-1"), ("/etc/kubernetes/pki/ca.crt", "w-2")} <= names
    theirs = cluster("managed").export()["certificates"]
    assert [each["name"] for each in theirs] == ["the API server's", "the kubeconfig's authority"]


def test_less_than_thirty_days_are_a_warning() -> None:
    found = cluster("self-managed", expire("/etc/kubernetes/pki/apiserver.crt", "2026-12-24T21:00:00+00:00"))
    value = "1 of 7 expire within 30 days; first /etc/kubernetes/pki/apiserver.crt on cp-1, in 29 days"
    assert list(found.warnings()) == [f"self-managed-lab: certificates: {value}: `pulumi up` renews it"]
    assert list(found.troubles()) == []


def test_thirty_days_are_enough() -> None:
    found = cluster("self-managed", expire("/etc/kubernetes/pki/apiserver.crt", "2026-12-24T22:00:00+00:00"))
    assert list(found.warnings()) == []


def test_who_renews_it_is_named() -> None:
    found = cluster(
        "self-managed", expire("/var/lib/kubelet/pki/kubelet-client-current.pem", "2026-12-01T22:00:00+00:00")
    )
    (warning,) = found.warnings()
    assert warning.endswith("in 7 days: the kubelet renews it; `journalctl -u kubelet` there says why it did not")


def test_on_eks_it_is_aws(tmp_path: Path) -> None:
    certificate.write(tmp_path / "x.crt", TIME - timedelta(300), TIME + timedelta(9))

    def change(answers: dict[str, Any]) -> None:
        answers["TLS handshake 198.19.240.2:443"] = (tmp_path / "x.crt").read_text()

    found = cluster("managed", change)
    value = "1 of 1 expire within 30 days; first the API server's, in 9 days: AWS renews it"
    assert list(found.warnings()) == [f"managed-lab: certificates: {value}"]


def test_an_expired_one_is_trouble() -> None:
    found = cluster("self-managed", expire("/etc/kubernetes/admin.conf", "2026-11-22T12:00:00+00:00"))
    (trouble,) = found.troubles()
    assert "certificates: 1 of 7 expired; first /etc/kubernetes/admin.conf on cp-1, 3 days ago" in trouble
    assert list(found.warnings()) == []


@pytest.mark.parametrize("path", ["ca.crt", "etcd/ca.crt", "front-proxy-ca.crt"])
def test_an_authority_that_expires_soon_is_named_apart(path: str) -> None:
    found = cluster("self-managed", expire(f"/etc/kubernetes/pki/{path}", "2026-12-01T22:00:00+00:00"))
    (warning,) = found.warnings()
    assert f"authorities: 1 of 6 expire within 30 days; first /etc/kubernetes/pki/{path} on cp-1, in 7 days" in warning


def test_one_that_cannot_be_read_is_trouble() -> None:
    found = cluster("self-managed", expire("/etc/kubernetes/pki/apiserver.crt", ""))
    (trouble,) = found.troubles()
    assert trouble == "self-managed-lab: certificates: /etc/kubernetes/pki/apiserver.crt on cp-1 cannot be read"


def test_what_no_machine_tells_is_still_seen_from_outside() -> None:
    def change(answers: dict[str, Any]) -> None:
        answers[FACTS] = {"error": "no machine"}
        answers["TLS handshake 198.18.64.10:6443"] = {"error": "Connection refused"}

    found = cluster("self-managed", change)
    assert found.upkeep["certificates"].value == "the kubeconfig's client expires in 364 days"
    by_probe = {each.probe: each.answer for each in found.upkeep["certificates"].evidence}
    assert by_probe["api_certificate"] == {"error": "Connection refused"}
    assert [each["name"] for each in by_probe["kubeconfig_certificates"]] == ["the kubeconfig's client"]
