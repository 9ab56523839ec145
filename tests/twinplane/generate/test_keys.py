"""Key pairs that OpenSSH takes."""

import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from twinplane.generate.keys import KINDS, key_pair


@pytest.mark.parametrize(("kind", "named"), [("ed25519", "ssh-ed25519"), ("ecdsa", "ecdsa-sha2-nistp256")])
def test_halves_belong_together(kind: str, named: str) -> None:
    pair = key_pair(kind, "someone")
    public = load_ssh_private_key(pair["private"].encode(), None).public_key()
    first, key, comment = pair["public"].split(" ")
    assert f"{first} {key}" == public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert (first, comment) == (named, "someone")
    assert pair["private"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert pair["private"].endswith("-----END OPENSSH PRIVATE KEY-----\n")


def test_no_two_are_the_same() -> None:
    for kind in KINDS:
        assert key_pair(kind, "a")["private"] != key_pair(kind, "a")["private"]


def test_command_prints_json_and_wants_a_kind_and_a_comment() -> None:
    command = [sys.executable, "-m", "twinplane.generate.keys"]
    done = subprocess.run([*command, "ecdsa", "someone"], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {"private", "public"}
    assert done.stderr == ""
    for wrong in ([], ["someone"], ["rsa", "someone"]):
        assert subprocess.run([*command, *wrong], capture_output=True, check=False).returncode == 2
