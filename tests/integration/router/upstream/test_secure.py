"""TLS, client certificates and the bearer token between router and services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mesh.core.errors import UnauthenticatedError
from mesh.core.rpc.channels import server_credentials
from mesh.core.rpc.tokens import BearerToken
from mesh.core.settings import TlsSettings
from mesh.serving.interceptors import CallInterceptor, TokenInterceptor
from router.config import RouterSettings
from router.runtime import Router
from router.upstream.clients import OCR_SERVICE
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Endpoint, Probe
from router.upstream.grpc_transport import GrpcTransport
from tests.builders.certificates import Authority
from tests.doubles.mesh_service import MeshService, serving
from tests.doubles.router import ALL, front, quiet_listeners, running_router
from tests.doubles.services import Services, raising, running_services
from tests.waiting import PATIENCE_SECONDS, until

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


@asynccontextmanager
async def guarded(file: Path) -> AsyncIterator[str]:
    """Services that demand the token in a file; their address."""
    token = BearerToken.of(None, file)
    assert token is not None
    async with serving(MeshService(), [TokenInterceptor(token), CallInterceptor()]) as address:
        yield address


def settings(address: str, **changes: Any) -> RouterSettings:
    shared: dict[str, Any] = {"listeners": quiet_listeners(), "drain_seconds": 1, **dict.fromkeys(ALL, address)}
    return RouterSettings(**shared, auth_token="right", **changes)


def endpoint_of(router: Router) -> Endpoint:
    (endpoint,) = router.clusters.clusters["ocr"].endpoints
    return endpoint


async def asked(router: Router) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a photo's text."""
    form = aiohttp.FormData({"entries": OCR})
    form.add_field("image", b"photo", filename="blob")
    url = f"http://127.0.0.1:{router.listener('immich_ml').port}/predict"
    async with aiohttp.ClientSession() as client, client.post(url, data=form) as reply:
        return reply.status, dict(reply.headers), await reply.text()


async def test_with_a_wrong_token_photos_wait_and_go_on_once_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong")
    async with guarded(file) as address, running_router(settings(address)) as router:
        await until(lambda: endpoint_of(router).refuses)
        assert not router.clusters.clusters["ocr"].can_serve
        assert endpoint_of(router).state == "unhealthy"
        assert "MESH_AUTH_TOKEN" in endpoint_of(router).health_detail
        waiting = asyncio.create_task(asked(router))
        await until(lambda: router.clusters.clusters["ocr"].held_bytes() == len(b"photo"))
        file.write_text("right")
        assert (await waiting)[0] == 200


async def test_with_a_wrong_token_a_photo_ends_at_its_deadline_and_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong")
    routes = [{"task": "ocr", "cluster": "ocr", "timeout_seconds": 0.3}]
    async with guarded(file) as address, running_router(settings(address, routes=routes)) as router:
        await until(lambda: endpoint_of(router).refuses)
        found, headers, body = await asked(router)
        assert (found, headers["Retry-After"]) == (503, "5")
        assert "refuses the router's token: set the same MESH_AUTH_TOKEN on both sides" in body


async def test_a_refusal_that_health_checks_do_not_show_is_held_likewise() -> None:
    """A service without `ModelService` has no call to ask with."""
    routes = [{"task": "ocr", "cluster": "ocr", "timeout_seconds": 0.3}]
    async with running_services() as services:
        services.behave = raising(UnauthenticatedError("the token is missing or wrong"))
        async with running_router(settings(services.address, routes=routes)) as router:
            await until(lambda: router.clusters.clusters["ocr"].can_serve)
            found, _, body = await asked(router)
            assert found == 503
            assert "MESH_AUTH_TOKEN" in body


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
