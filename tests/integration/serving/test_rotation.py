"""Certificates and tokens that change under a running service and a running router: no call is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh.core.rpc.channels import SERVER_OPTIONS, open_channel, server_credentials
from mesh.core.rpc.renewing_channel import RenewingChannel
from mesh.core.rpc.tokens import BearerToken
from mesh.core.settings import TlsSettings
from mesh.serving.interceptors import TokenInterceptor
from tests.builders.certificates import Authority

METHOD = "/test.Echo/Say"


class EchoHandler:
    """Answers with what it was sent; waits for a gate first where one is set."""

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.waiting = asyncio.Event()
        self.peers: list[str] = []

    async def say(self, request: bytes, context: Any) -> bytes:
        self.peers.append(context.peer())
        if self.gate is not None and request == b"slow":
            self.waiting.set()
            await self.gate.wait()
        return request


@asynccontextmanager
async def serving(echo: EchoHandler, tls: TlsSettings | None, token: BearerToken | None = None) -> AsyncIterator[str]:
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=[TokenInterceptor(token)] if token else None)
    handlers: Any = {"Say": grpc.unary_unary_rpc_method_handler(echo.say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    credentials = server_credentials(tls) if tls else None
    address = "localhost:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(None)


@pytest.fixture(autouse=True)
def looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.core.rpc.watched_files.LOOK_EVERY_SECONDS", 0.0)


async def say(channel: grpc.aio.Channel, what: bytes = b"hello", *, wait: bool = True) -> bytes:
    method: Any = channel.unary_unary(METHOD)
    answer: bytes = await method(what, wait_for_ready=wait)
    return answer


async def served_serial(address: str, authority: Authority) -> int:
    """The serial number of the certificate that a new connection is shown."""
    return await asyncio.to_thread(authority.serial_at, address)


async def test_new_certificates_on_both_sides_reach_new_connections(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    server_tls, client_tls = authority.pair("localhost"), authority.pair("router")
    async with serving(EchoHandler(), server_tls) as address, open_channel(address, client_tls) as channel:
        assert await say(channel) == b"hello"
        first = await served_serial(address, authority)
        authority.pair("localhost")
        authority.pair("router")
        assert await say(channel) == b"hello"
        assert await served_serial(address, authority) != first


async def test_another_authority_takes_over_without_a_lost_call(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    server_tls, client_tls = authority.pair("localhost"), authority.pair("router")
    echo = EchoHandler()
    echo.gate = asyncio.Event()
    async with serving(echo, server_tls) as address, open_channel(address, client_tls) as channel:
        method: Any = channel.unary_unary(METHOD)
        under_way = asyncio.ensure_future(method(b"slow"))
        await echo.waiting.wait()
        renewed = Authority.make(tmp_path)  # the same files, another key: what the former signed is worth nothing now
        renewed.pair("localhost")
        renewed.pair("router")
        for number in range(20):
            assert await method(b"%d" % number, wait_for_ready=True) == b"%d" % number
        assert len(set(echo.peers)) == 2, "the calls after the change go over a connection of their own"
        assert not under_way.done()
        echo.gate.set()
        assert await under_way == b"slow"
        assert isinstance(channel, RenewingChannel)
        assert not channel._leaving, "the former connection goes with its last call"
        stranger = TlsSettings(ca_file=authority.copy_of_former(tmp_path / "former.pem"))
        async with open_channel(address, stranger) as outside:
            with pytest.raises(grpc.aio.AioRpcError):
                await say(outside, wait=False)


async def test_half_of_a_new_pair_changes_nothing(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    server_tls, client_tls = authority.pair("localhost"), authority.pair("router")
    async with serving(EchoHandler(), server_tls) as address, open_channel(address, client_tls) as channel:
        assert client_tls.key_file
        assert server_tls.key_file
        whole = server_tls.key_file.read_bytes()
        for half in (client_tls.key_file, server_tls.key_file):
            half.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
        assert await say(channel) == b"hello"
        authority.pair("router")
        server_tls.key_file.write_bytes(whole)
        async with open_channel(address, client_tls) as fresh:
            assert await say(fresh) == b"hello"
        assert await say(channel) == b"hello"


async def test_files_that_are_no_pair_are_refused_at_the_start(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    one, other = authority.pair("one"), authority.pair("other")
    with pytest.raises(OSError, match="mismatch"):
        server_credentials(TlsSettings(cert_file=one.cert_file, key_file=other.key_file))


async def test_a_new_token_is_shown_and_taken_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    demanded, shown = BearerToken.of(None, file), BearerToken.of(None, file)
    async with serving(EchoHandler(), None, demanded) as address, open_channel(address, token=shown) as channel:
        for token in ("first", "second", "the third"):
            file.write_text(token)
            assert await say(channel) == b"hello"
        async with open_channel(address, token="wrong") as stranger:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await say(stranger)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
