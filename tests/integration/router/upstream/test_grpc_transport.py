"""The gRPC transport against real processes and connections: whose a failure is, by the marks that services send."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from immich_mesh.clip.v1 import clip_pb2
from pydantic import SecretStr

from bench.chaos.fleet import Process, free_ports, replica_process
from bench.chaos.replica import CRASHING_PAYLOAD
from mesh.core.errors import MeshError, ModelUnavailableError, OverloadedError, UnavailableError
from mesh.core.rpc.tokens import BearerToken
from mesh.serving.interceptors import CallInterceptor, TokenInterceptor
from router.config import RetrySettings
from router.domain.requests import Content
from router.domain.tasks import Lane
from router.upstream.calls import Call, FailureKind, TryFailedError
from router.upstream.clients import CLIP_SERVICE
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Probe
from router.upstream.grpc_transport import GrpcTransport
from tests.doubles.mesh_service import MeshService, serving
from tests.doubles.services import aborting, raising, running_services
from tests.waiting import PATIENCE_SECONDS

RETRY = RetrySettings()


# What gRPC says of its own connections, from the mouth of a service that speaks about somebody else's.
DECEPTIVE = (
    "the hub does not answer: [Errno 104] Connection reset by peer",
    "the hub does not answer: [Errno -3] Temporary failure in name resolution",
    "the hub does not answer: [Errno 32] Broken pipe",
    "failed to connect to all addresses",
    "Socket closed",
    "GOAWAY received",
)


def call(method: str = "EncodeText", text: str = "dog", *, exclusive: bool = False) -> Call:
    message = clip_pb2.EncodeTextRequest(text=text).SerializeToString()
    made = Call(f"/{CLIP_SERVICE}/{method}", message, lambda reply: reply, Content(text.encode()), Lane.TEXT, 1e9)
    made.exclusive = exclusive
    return made


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Process]:
    process = replica_process("replica", free_ports(1)[0], 400, tmp_path)
    await process.start()
    yield process
    process.send_signal(signal.SIGCONT)
    await process.kill()


@pytest.fixture
async def transport(replica: Process) -> AsyncIterator[GrpcTransport]:
    made = GrpcTransport(Address(f"127.0.0.1:{replica.port}"), CLIP_SERVICE, None, None)
    assert await made.probe(5) is Probe.SERVING
    yield made
    await made.close()


async def failure(work: Any) -> TryFailedError:
    with pytest.raises(TryFailedError) as caught:
        await work
    return caught.value


async def probed(transport: GrpcTransport, wanted: Probe) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await transport.probe(5) is not wanted:  # noqa: ASYNC110 - another process decides when
            await asyncio.sleep(0.05)


async def test_killed_during_a_call_and_not_there_after(replica: Process, transport: GrpcTransport) -> None:
    running = asyncio.create_task(transport.send(call(), 10))
    await asyncio.sleep(0.1)
    await replica.kill()
    assert (await failure(running)).kind is FailureKind.DIED
    await probed(transport, Probe.UNREACHABLE)
    assert (await failure(transport.send(call(), 10))).kind is FailureKind.UNREACHABLE
    await replica.start()
    await probed(transport, Probe.SERVING)
    assert await transport.send(call(), 10)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_end_of_a_process_is_told_between_two_checks(
    replica: Process, transport: GrpcTransport, number: signal.Signals
) -> None:
    lost = asyncio.Event()
    assert transport.watch(lost.set)
    replica.send_signal(number)
    await asyncio.wait_for(lost.wait(), PATIENCE_SECONDS)
    await probed(transport, Probe.UNREACHABLE)
    assert not transport.watch(lost.set)  # there is no connection that could break


async def test_draining_finishes_what_is_under_way_and_takes_nothing_new(
    replica: Process, transport: GrpcTransport
) -> None:
    running = asyncio.create_task(transport.send(call(), 10))
    await asyncio.sleep(0.1)
    replica.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    late = await failure(transport.send(call(), 10))
    assert late.kind in (FailureKind.UNAVAILABLE, FailureKind.UNREACHABLE)
    assert await running


async def test_overload_comes_with_the_time_to_wait(replica: Process, transport: GrpcTransport) -> None:
    replica.send_signal(signal.SIGUSR2)
    await asyncio.sleep(0.1)
    running = asyncio.create_task(transport.send(call(), 10))
    await asyncio.sleep(0.1)
    refused = await failure(transport.send(call(), 10))
    assert refused.kind is FailureKind.OVERLOADED
    assert isinstance(refused.error, OverloadedError)
    assert refused.retry_after_seconds == 0.2
    await running


async def test_a_paused_process_lets_health_checks_time_out(replica: Process, transport: GrpcTransport) -> None:
    replica.send_signal(signal.SIGSTOP)
    assert await transport.probe(0.3) is Probe.TIMEOUT
    assert (await failure(transport.send(call(), 0.3))).kind is FailureKind.TIMEOUT


async def test_a_method_that_does_not_exist_is_broken(transport: GrpcTransport) -> None:
    assert (await failure(transport.send(call("Nothing"), 5))).kind is FailureKind.BROKEN


async def test_what_does_not_speak_grpc_is_unreachable() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = GrpcTransport(Address(f"127.0.0.1:{port}"), CLIP_SERVICE, None, None)
    refused = await failure(transport.send(call(), 5))
    assert refused.kind is FailureKind.UNREACHABLE
    assert isinstance(refused.error, UnavailableError)
    assert await transport.probe(5) is Probe.UNREACHABLE
    await transport.close()
    server.close()


async def test_a_connection_dropped_during_a_call_is_a_death(replica: Process) -> None:
    """A proxy in between that resets the connection, as a node that goes away does."""
    writers = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", replica.port)
        writers.append(writer)
        await asyncio.gather(_pump(reader, back), _pump(there, writer), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = GrpcTransport(Address(f"127.0.0.1:{port}"), CLIP_SERVICE, None, None)
    running = asyncio.create_task(transport.send(call(), 10))
    await asyncio.sleep(0.2)
    for writer in writers:
        writer.transport.abort()
    assert (await failure(running)).kind is FailureKind.DIED
    await transport.close()
    server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("exclusive", [False, True])
async def test_a_payload_that_kills_at_once_is_known_to_have_been_started(
    replica: Process, transport: GrpcTransport, exclusive: bool
) -> None:
    for _ in range(3):
        died = await failure(transport.send(call(text=CRASHING_PAYLOAD.decode(), exclusive=exclusive), 10))
        assert (died.kind, died.exclusive) == (FailureKind.DIED, exclusive)
        await replica.ended()
        await replica.start()
        await probed(transport, Probe.SERVING)


@pytest.mark.parametrize("text", DECEPTIVE)
async def test_a_services_own_words_are_nobodys_death(text: str) -> None:
    async with running_services() as services:
        transport = GrpcTransport(Address(services.address), CLIP_SERVICE, None, None)
        services.behave = raising(UnavailableError(text))
        told = await failure(transport.send(call(), 10))
        assert (told.kind, told.error.message) == (FailureKind.UNAVAILABLE, text)
        services.behave = raising(ModelUnavailableError(text, 40))
        told = await failure(transport.send(call(), 10))
        assert (told.kind, told.retry_after_seconds) == (FailureKind.MODEL_UNAVAILABLE, 40)
        await transport.close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, FailureKind.CLIENT),
        (grpc.StatusCode.NOT_FOUND, FailureKind.CLIENT),
        (grpc.StatusCode.FAILED_PRECONDITION, FailureKind.CLIENT),
        (grpc.StatusCode.UNAUTHENTICATED, FailureKind.CLIENT),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, FailureKind.OVERLOADED),
        (grpc.StatusCode.UNAVAILABLE, FailureKind.UNREACHABLE),
        (grpc.StatusCode.INTERNAL, FailureKind.BROKEN),
    ],
)
async def test_a_service_of_a_version_without_marks(code: grpc.StatusCode, kind: FailureKind) -> None:
    """In the middle of an upgrade. Only UNAVAILABLE could be anybody's: it is taken for the connection's, and held."""
    async with running_services(marks=False) as services:
        transport = GrpcTransport(Address(services.address), CLIP_SERVICE, None, None)
        assert await transport.send(call(), 10)
        services.behave = aborting(code, DECEPTIVE[0], grpc_retry_pushback_ms="700")
        told = await failure(transport.send(call(), 10))
        assert told.kind is kind
        if kind is FailureKind.OVERLOADED:
            assert told.retry_after_seconds == 0.7
        await transport.close()


async def test_another_token_is_the_set_ups_fault_and_seen_before_a_request_needs_it(tmp_path: Path) -> None:
    """The service's token is changed and mended in its file, as a Secret is."""
    file = tmp_path / "token"
    file.write_text("the service's")
    theirs = BearerToken.of(None, file)
    assert theirs is not None
    async with serving(MeshService(), [TokenInterceptor(theirs), CallInterceptor()]) as address:
        transport = GrpcTransport(Address(address), CLIP_SERVICE, None, BearerToken.of(SecretStr("the router's")))
        without = GrpcTransport(Address(address), CLIP_SERVICE, None, None)
        for one in (transport, without):
            assert await one.probe(10) is Probe.REFUSED
            told = await failure(one.send(call(), 10))
            assert told.kind is FailureKind.REFUSED
            assert isinstance(told.error, UnavailableError)
            assert "MESH_AUTH_TOKEN" in told.error.message
        file.write_text("the router's, and more\nthe router's")
        assert await transport.probe(10) is Probe.SERVING
        assert await transport.send(call(), 10)
        assert await without.probe(10) is Probe.REFUSED
        await transport.close()
        await without.close()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_a_services_own_refusal_of_the_token_is_no_callers_error(code: grpc.StatusCode) -> None:
    async with running_services() as services:
        transport = GrpcTransport(Address(services.address), CLIP_SERVICE, None, None)
        services.behave = aborting(code, "no", x_immich_mesh_status="unauthenticated")
        assert (await failure(transport.send(call(), 10))).kind is FailureKind.REFUSED
        await transport.close()


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE])
async def test_a_proxys_status_is_not_taken_for_that_of_the_service_behind_it(code: grpc.StatusCode) -> None:
    async with running_services() as services:
        transport = GrpcTransport(Address(services.address), CLIP_SERVICE, None, None)
        assert await transport.send(call(), 10)
        services.unmarked = aborting(code, "upstream connect error or disconnect/reset before headers")
        assert (await failure(transport.send(call(), 10))).kind is FailureKind.UNREACHABLE
        services.unmarked = None
        services.behave = raising(MeshError("the service's own"))
        assert (await failure(transport.send(call(), 10))).kind is FailureKind.BROKEN
        await transport.close()


async def test_a_body_that_is_no_message_is_the_callers_error() -> None:
    async with serving(MeshService(), [CallInterceptor()]) as address:
        transport = GrpcTransport(Address(address), CLIP_SERVICE, None, None)
        broken = call()
        broken.message = b"\xff\xff\xff"
        told = await failure(transport.send(broken, 10))
        assert told.kind is FailureKind.CLIENT
        assert "not the message" in told.error.message
        await transport.close()
