"""`python -m twinplane.generate.signing_key BITS`: prints a new RSA key pair as JSON, {"private": ..., "public": ...}.

Both PEM, as kubeadm has them in sa.key and sa.pub. Nothing is written to a disk.
"""

import json
import sys

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


def key_pair(bits: int) -> dict[str, str]:
    """A new pair."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {"private": private, "public": public}


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print("usage: python -m twinplane.generate.signing_key BITS", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(key_pair(int(sys.argv[1]))))
