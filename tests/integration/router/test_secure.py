"""TLS, client certificates and the bearer token between router and services."""

import asyncio
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh.core.channels import server_credentials
from mesh.core.errors import UnauthenticatedError
from mesh.core.settings import TlsSettings
from router.upstream.clients import OCR_SERVICE
from router.upstream.endpoints.discovery import Address
from router.upstream.endpoints.endpoint import Probe
from router.upstream.grpc_transport import GrpcTransport
from tests.doubles.router import front
from tests.doubles.services import running_services

OCR = '{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}'


@dataclass(frozen=True)
class Authority:
    """Signs certificates and writes them where settings find them."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def pair(self, name: str) -> TlsSettings:
        """Key and certificate for a name, and this authority to check the other side by."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(name, key.public_key(), self.key, self.certificate.subject, authority=False)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(_pem(key))
        return TlsSettings(cert_file=paths[0], key_file=paths[1], ca_file=self.file)


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


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed("mesh authority", key.public_key(), key, _name("mesh authority"), authority=True)
    made = Authority(tmp_path, key, certificate)
    made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return made


async def test_both_sides_show_certificates_and_the_router_its_token(authority: Authority) -> None:
    async with running_services(server_credentials(authority.pair("localhost"))) as services:
        address = f"localhost:{services.port}"
        endpoints: dict[str, Any] = dict.fromkeys(("ocr_endpoints", "clip_endpoints", "face_endpoints"), address)
        tls = authority.pair("router")
        async with front(services, upstream_tls=tls, auth_token="secret", **endpoints) as stage:
            assert (await stage.predict(OCR))[0] == 200
    assert services.metadata[-1]["authorization"] == "Bearer secret"


async def test_an_address_behind_a_name_is_checked_by_that_name(authority: Authority) -> None:
    async with running_services(server_credentials(authority.pair("ocr-headless"))) as services:
        tls = authority.pair("router")
        by_name = GrpcTransport(Address(services.address, "ocr-headless"), OCR_SERVICE, tls, None)
        by_number = GrpcTransport(Address(services.address), OCR_SERVICE, tls, None)
        assert await by_name.probe(5) is Probe.SERVING
        assert await by_number.probe(5) is Probe.UNREACHABLE
        await asyncio.gather(by_name.close(), by_number.close())


async def test_a_router_without_a_certificate_is_not_let_in(authority: Authority) -> None:
    async with running_services(server_credentials(authority.pair("localhost"))) as services:
        address = Address(f"localhost:{services.port}")
        transport = GrpcTransport(address, OCR_SERVICE, TlsSettings(ca_file=authority.file), None)
        assert await transport.probe(5) is Probe.UNREACHABLE
        await transport.close()


async def test_a_wrong_token_is_told_apart_from_a_dead_service() -> None:
    async with running_services() as services:

        async def check(_: str, __: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
            if ("authorization", "Bearer right") not in tuple(context.invocation_metadata() or ()):
                raise UnauthenticatedError("the token is missing or wrong")

        services.behave = check
        async with front(services, auth_token="wrong") as stage:
            found, body = await stage.predict(OCR)
            assert (found, body["error"]["code"]) == (401, "unauthenticated")
        async with front(services, auth_token="right") as stage:
            assert (await stage.predict(OCR))[0] == 200
