"""`python -m twinplane.generate.certificates NAME...`: prints a new self-signed TLS certificate for those DNS names
as JSON: {"certificate": ..., "private_key": ...}, both PEM, RSA 2048 (which every load balancer takes), valid for ten
years. Who trusts the certificate itself trusts the server. Nothing is written to a disk.
"""

import datetime
import json
import sys
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 3650
#: A common name has at most so many characters (RFC 5280, ub-common-name).
COMMON_NAME = 64


def self_signed(names: Sequence[str]) -> dict[str, str]:
    """A new certificate and its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:COMMON_NAME])])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {"certificate": certificate.public_bytes(Encoding.PEM).decode(), "private_key": private}


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("usage: python -m twinplane.generate.certificates NAME...", file=sys.stderr)
        sys.exit(2)
    # The component's command hands all names over as one argument.
    print(json.dumps(self_signed(" ".join(sys.argv[1:]).split())))
