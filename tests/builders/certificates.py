"""A certificate authority of a test's own, and what it signs."""

import datetime
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh.core.settings import TlsSettings


@dataclass(frozen=True)
class Authority:
    """Signs certificates and writes them where settings find them."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        """A new one; its certificate is written to `ca.pem`."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed("mesh authority", key.public_key(), key, _name("mesh authority"), authority=True)
        made = cls(folder, key, certificate)
        made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def file(self) -> Path:
        """Its certificate."""
        return self.folder / "ca.pem"

    def copy_of_former(self, path: Path) -> Path:
        """Its certificate, for after another authority has taken `ca.pem`."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def pair(self, name: str) -> TlsSettings:
        """Key and certificate for a name, and this authority to check the other side by. Replaces an earlier pair."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(name, key.public_key(), self.key, self.certificate.subject, authority=False)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(_pem(key))
        return TlsSettings(cert_file=paths[0], key_file=paths[1], ca_file=self.file)

    def serial_at(self, address: str) -> int:
        """The serial number of the certificate that a server shows. Blocking."""
        tls = self.pair("visitor")
        assert tls.cert_file
        context = ssl.create_default_context(cafile=str(self.file))
        context.load_cert_chain(tls.cert_file, tls.key_file)
        context.set_alpn_protocols(["h2"])
        host, _, port = address.rpartition(":")
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
        assert shown
        return x509.load_der_x509_certificate(shown).serial_number


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _signed(
    name: str, public: ec.EllipticCurvePublicKey, by: ec.EllipticCurvePrivateKey, issuer: x509.Name, *, authority: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(by, hashes.SHA256())
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
