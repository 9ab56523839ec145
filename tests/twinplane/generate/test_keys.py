"""Key pairs that OpenSSH takes."""

import json
import subprocess
import sys

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from twinplane.generate.keys import key_pair


def test_halves_belong_together_and_are_ed25519() -> None:
    pair = key_pair("someone")
    public = load_ssh_private_key(pair["private"].encode(), None).public_key()
    kind, key, comment = pair["public"].split(" ")
    assert f"{kind} {key}" == public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert (kind, comment) == ("ssh-ed25519", "someone")
    assert pair["private"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert pair["private"].endswith("-----END OPENSSH PRIVATE KEY-----\n")


def test_no_two_are_the_same() -> None:
    assert key_pair("a")["private"] != key_pair("a")["private"]


def test_command_prints_json_and_wants_a_comment() -> None:
    command = [sys.executable, "-m", "twinplane.generate.keys"]
    done = subprocess.run([*command, "someone"], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {"private", "public"}
    assert done.stderr == ""
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
