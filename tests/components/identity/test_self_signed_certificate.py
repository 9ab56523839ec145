"""SelfSignedCertificate, and the certificates themselves."""

import json
import subprocess
import sys
from typing import Any

import pulumi
import pytest
from cryptography import x509

from components.identity.self_signed_certificate import SelfSignedCertificate, SelfSignedCertificateArgs
from tests.support.pulumi_mocks import Graph, contains_secret, run
from twinplane.generate.certificates import self_signed


def certificate(**changes: Any) -> Graph:
    def program() -> None:
        made = SelfSignedCertificate("c", SelfSignedCertificateArgs(**{"names": ["a.test"], **changes}))
        pulumi.export("certificate", made.certificate)
        pulumi.export("key", made.private_key)
        pulumi.export("arn", made.arn)

    return run(program)


def test_names_make_it_another() -> None:
    command = certificate(names=["a.test", "b.test"]).one("Command")
    assert (command.inputs["create"], command.inputs["triggers"]) == ("a.test b.test", ["a.test b.test"])
    assert command.ignore_changes == ["interpreter"]


def test_the_key_is_a_secret_and_the_certificate_is_none() -> None:
    graph = certificate()
    assert contains_secret(graph.raw_exports["key"])
    assert not contains_secret(graph.raw_exports["certificate"])


def test_imported_for_load_balancers() -> None:
    assert certificate().exports["arn"] == ""
    graph = certificate(imported=True)
    kept = graph.one("aws:acm/certificate:Certificate")
    assert graph.exports["arn"].endswith("certificate/c")
    assert contains_secret(kept.raw["privateKey"])
    assert kept.inputs["tags"]["ManagedBy"] == "pulumi"


def test_a_certificate_is_for_its_names_and_its_own_authority() -> None:
    pair = self_signed(["a.test", "b.test"])
    made = x509.load_pem_x509_certificate(pair["certificate"].encode())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test", "b.test"]
    made.verify_directly_issued_by(made)
    assert "PRIVATE KEY" in pair["private_key"]


@pytest.mark.parametrize(("argv", "code"), [(["a.test b.test"], 0), ([], 2)])
def test_the_command(argv: list[str], code: int) -> None:
    command = [sys.executable, "-m", "twinplane.generate.certificates", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert code or set(json.loads(done.stdout)) == {"certificate", "private_key"}
