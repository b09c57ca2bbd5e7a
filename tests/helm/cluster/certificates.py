"""A certificate authority and one certificate, as cert-manager would put them into a Secret.

    .venv/bin/python -m tests.helm.cluster.certificates NAME... > secret.json

Run by the project's own Python, which has `cryptography`. The names are the chart's Certificate's.
"""

import base64
import datetime
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Key = ec.EllipticCurvePrivateKey


def certificate(name: str, key: Key, issuer: str, issuer_key: Key, names: list[str]) -> x509.Certificate:
    """A certificate for a day; one without names is an authority."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def main(names: list[str]) -> None:
    """Prints the Secret's data."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate("mesh authority", authority_key, "mesh authority", authority_key, [])
    mesh = certificate("mesh", key, "mesh authority", authority_key, names)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = {"tls.crt": mesh.public_bytes(pem), "tls.key": private, "ca.crt": authority.public_bytes(pem)}
    json.dump({name: base64.b64encode(content).decode() for name, content in files.items()}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
