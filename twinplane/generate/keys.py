"""`python -m twinplane.generate.keys ed25519|ecdsa COMMENT`: prints a new SSH key pair as JSON, "private" and "public".

Both in OpenSSH's format. Nothing is written to a disk.
"""

import json
import sys
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

KINDS: dict[str, Callable[[], Ed25519PrivateKey | EllipticCurvePrivateKey]] = {
    "ed25519": Ed25519PrivateKey.generate,
    "ecdsa": lambda: generate_private_key(SECP256R1()),
}


def key_pair(kind: str, comment: str) -> dict[str, str]:
    """A new pair; the public half ends with the comment."""
    key = KINDS[kind]()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return {"private": private, "public": f"{public} {comment}"}


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in KINDS:
        print(f"usage: python -m twinplane.generate.keys {'|'.join(KINDS)} COMMENT", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(key_pair(*sys.argv[1:])))
