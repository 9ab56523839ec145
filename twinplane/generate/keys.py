"""`python -m twinplane.generate.keys COMMENT`: prints a new ed25519 SSH key pair as JSON,
{"private": ..., "public": ...}, both in OpenSSH's format. Nothing is written to a disk.
"""

import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


def key_pair(comment: str) -> dict[str, str]:
    """A new pair; the public half ends with the comment."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return {"private": private, "public": f"{public} {comment}"}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python -m twinplane.generate.keys COMMENT", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(key_pair(sys.argv[1])))
