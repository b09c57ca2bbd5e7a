"""TLS, client certificates and the bearer token between router and services."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh.core.errors import UnauthenticatedError
from mesh.core.rpc.channels import server_credentials
from mesh.core.settings import TlsSettings
from router.upstream.clients import OCR_SERVICE
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Probe
from router.upstream.grpc_transport import GrpcTransport
from tests.builders.certificates import Authority
from tests.doubles.router import front
from tests.doubles.services import Services, running_services
from tests.waiting import PATIENCE_SECONDS

OCR = '{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}'


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path)


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


async def test_a_permissive_router_speaks_tls_where_it_can_and_plain_text_where_it_must(authority: Authority) -> None:
    """Pods of both kinds, in the middle of a rollout; one that is replaced at its address changes its kind."""
    tls = authority.pair("router").model_copy(update={"permissive": True})
    secure, plain = Services(), Services()
    server = await secure.start(credentials=server_credentials(authority.pair("localhost")))
    other = await plain.start()
    transports = [GrpcTransport(Address(f"localhost:{one.port}"), OCR_SERVICE, tls, None) for one in (secure, plain)]
    try:
        assert [await one.probe(5) for one in transports] == [Probe.SERVING] * 2
        await server.stop(None)
        changed = await secure.start(secure.port)
        await probed(transports[0], Probe.SERVING)
        await changed.stop(None)
        await probed(transports[0], Probe.UNREACHABLE)
        server = await secure.start(secure.port, credentials=server_credentials(authority.pair("localhost")))
        await probed(transports[0], Probe.SERVING)
    finally:
        await asyncio.gather(*(one.close() for one in transports), server.stop(None), other.stop(None))


async def test_a_strict_router_speaks_no_plain_text(authority: Authority) -> None:
    async with running_services() as services:
        transport = GrpcTransport(Address(f"localhost:{services.port}"), OCR_SERVICE, authority.pair("router"), None)
        assert await transport.probe(5) is Probe.UNREACHABLE
        await transport.close()


async def probed(transport: GrpcTransport, wanted: Probe) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await transport.probe(5) is not wanted:  # noqa: ASYNC110 - the channel's own pauses decide when
            await asyncio.sleep(0.05)
