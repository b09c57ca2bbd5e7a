"""The server that all services run in, by a client: errors, health, reflection, token, TLS, limits, draining."""

import asyncio
import datetime
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc
from pydantic import SecretStr

from mesh.core import context
from mesh.core.errors import (
    InvalidInputError,
    MeshError,
    ModelNotFoundError,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
)
from mesh.core.rpc.channels import open_channel
from mesh.core.settings import ServiceSettings, TlsSettings
from mesh.hub.catalogue import Family
from mesh.hub.store import ModelStore
from mesh.serving.inference.compute import ComputePool
from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.lifecycle.slot import Loaded
from mesh.serving.server import RunningServer, Service, running
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Probe
from router.upstream.grpc_transport import GrpcTransport
from tests.waiting import PATIENCE_SECONDS

ServerReflectionStub: Any = reflection_pb2_grpc.ServerReflectionStub
NAME = "immich_mesh.ocr.v1.OcrService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Echo(ocr_pb2_grpc.OcrServiceServicer):
    """Answers with the request's size and id; raises what it is given; waits for its gate on the text `wait`."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def Recognize(
        self, request: ocr_pb2.RecognizeRequest, call: grpc.aio.ServicerContext[Any, Any]
    ) -> ocr_pb2.RecognizeResponse:
        if self.error is not None:
            raise self.error
        if request.language == "wait":
            self.entered.set()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return ocr_pb2.RecognizeResponse(image_width=len(request.image), model_name=context.request_id.get())


class IdleEngine:
    memory_bytes, provider, reason = 1, "Fake", ""

    def start(self) -> None: ...

    async def drain(self) -> None: ...

    async def calibrate(self) -> None: ...

    def release_idle(self) -> bool:
        return False

    def close(self) -> None: ...


@pytest.fixture
def compute() -> Iterator[ComputePool]:
    pool = ComputePool(1)
    yield pool
    pool.close()


class Harness:
    """One service with its servicer, and the gate of its model's load."""

    def __init__(self, compute: ComputePool, tmp_path: Path) -> None:
        self.echo = Echo()
        self.load: Callable[[], IdleEngine] = IdleEngine
        self.settings = ServiceSettings(host="127.0.0.1", port=0, model_name="PP-OCRv4_mobile", cache_folder=tmp_path)
        manager = ModelManager(
            Family.OCR,
            ModelStore(tmp_path, offline=True),
            [ModelPart(part, self._read) for part in Family.OCR.parts],
            compute,
            LifecyclePolicy("PP-OCRv4_mobile"),
        )
        self.service = Service(
            NAME, lambda server: ocr_pb2_grpc.add_OcrServiceServicer_to_server(self.echo, server), manager, self._handle
        )

    async def _handle(self, photo: bytes) -> None:
        raise AssertionError("photos come by calls here")

    def _read(self, _: PartFiles) -> Loaded[IdleEngine]:
        model = self.load()
        return Loaded(model, model)

    @asynccontextmanager
    async def serve(self, **changes: Any) -> AsyncIterator[RunningServer]:
        async with running(self.service, self.settings.model_copy(update=changes)) as server:
            await asyncio.wait_for(server.ready.wait(), PATIENCE_SECONDS)
            yield server


@pytest.fixture
def harness(compute: ComputePool, tmp_path: Path) -> Harness:
    return Harness(compute, tmp_path)


async def recognize(channel: grpc.aio.Channel, **fields: Any) -> ocr_pb2.RecognizeResponse:
    stub: ocr_pb2_grpc.OcrServiceAsyncStub = ocr_pb2_grpc.OcrServiceStub(channel)
    metadata = (("x-request-id", "abc"),)
    return await stub.Recognize(ocr_pb2.RecognizeRequest(**fields), metadata=metadata, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError("no image"),
        ModelNotFoundError("no model"),
        UnavailableError("starting"),
        UnauthenticatedError("who?"),
        OverloadedError("full", 1.5),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_domain_errors_become_their_codes(harness: Harness, error: MeshError) -> None:
    async with harness.serve() as server, open_channel(server.address) as channel:
        harness.echo.error = error
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await recognize(channel)
        assert (raised.value.code(), raised.value.details()) == (error.code, error.message)
        trailers = dict(raised.value.trailing_metadata() or ())
        assert trailers.get("grpc-retry-pushback-ms") == ("1500" if isinstance(error, OverloadedError) else None)


async def test_other_errors_tell_nothing_but_the_request_id(harness: Harness) -> None:
    async with harness.serve() as server, open_channel(server.address) as channel:
        harness.echo.error = ValueError("secret path")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await recognize(channel)
        assert raised.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(raised.value.details())
        assert "abc" in str(raised.value.details())
        harness.echo.error = None
        assert (await recognize(channel)).model_name == "abc"


async def test_messages_of_64_mib_pass_and_larger_ones_do_not(harness: Harness) -> None:
    async with harness.serve() as server, open_channel(server.address) as channel:
        assert (await recognize(channel, image=bytes(64 << 20))).image_width == 64 << 20
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await recognize(channel, image=bytes(65 << 20))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_by_name_and_reflection(harness: Harness) -> None:
    async with harness.serve() as server, open_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", NAME, "immich_mesh.model.v1.ModelService"):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        reflection: Any = ServerReflectionStub(channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
        ]
        listed, described = [reply async for reply in reflection.ServerReflectionInfo(iter(requests))]
        names = {service.name for service in listed.list_services_response.service}
        assert {NAME, "immich_mesh.model.v1.ModelService", "grpc.health.v1.Health"} <= names
        file = FileDescriptorProto.FromString(described.file_descriptor_response.file_descriptor_proto[0])
        assert [method.name for method in file.service[0].method] == ["Recognize"]


async def test_the_model_service_shows_and_steers(harness: Harness) -> None:
    async with harness.serve() as server, open_channel(server.address) as channel:
        models: model_pb2_grpc.ModelServiceAsyncStub = model_pb2_grpc.ModelServiceStub(channel)
        loaded = [
            model for model in (await models.ListModels(model_pb2.ListModelsRequest())).models if model.state == 5
        ]
        assert [(model.name, model.part, model.provider) for model in loaded] == [
            ("PP-OCRv4_mobile", "detection", "Fake"),
            ("PP-OCRv4_mobile", "recognition", "Fake"),
        ]
        unloaded = await models.UnloadModel(model_pb2.UnloadModelRequest())
        assert all(model.state == model_pb2.MODEL_STATE_CACHED for model in unloaded.models if model.size_bytes)
        again = await models.LoadModel(model_pb2.LoadModelRequest(name="PP-OCRv4_mobile"))
        assert [model.state for model in again.models] == [model_pb2.MODEL_STATE_LOADED] * 2
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await models.LoadModel(model_pb2.LoadModelRequest(name="PP-OCRv4_mobile", hub="ftp://elsewhere"))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_router_hears_which_model_is_on_its_way(harness: Harness) -> None:
    gate = threading.Event()

    def load() -> IdleEngine:
        gate.wait(PATIENCE_SECONDS)
        return IdleEngine()

    harness.load = load
    async with running(harness.service, harness.settings) as server:
        transport = GrpcTransport(Address(server.address), NAME, None, None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (progress := await transport.progress(5)):  # noqa: ASYNC110 - the load is on a thread
                await asyncio.sleep(0.01)
        assert await transport.probe(5) is Probe.NOT_SERVING
        assert progress == "is loading PP-OCRv4_mobile"
        gate.set()
        await asyncio.wait_for(server.ready.wait(), PATIENCE_SECONDS)
        assert await transport.progress(5) == ""
        await transport.close()


async def test_a_chore_that_dies_turns_health_and_liveness(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def die(_: str) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(harness.service.manager, "load", die)
    async with running(harness.service, harness.settings) as server, open_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watched = health.Watch(health_pb2.HealthCheckRequest(service="immich_mesh.model.v1.ModelService"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await watched.read()).status != NOT_SERVING:
                pass
        assert (await health.Check(health_pb2.HealthCheckRequest(service=NAME))).status == NOT_SERVING
        watched.cancel()


async def test_the_token_is_demanded_but_not_of_probes(harness: Harness) -> None:
    async with harness.serve(auth_token=SecretStr("s3cret")) as server:
        for token in (None, "wrong"):
            async with open_channel(server.address, token=token) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await recognize(channel)
                assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
                health: Any = health_pb2_grpc.HealthStub(channel)
                assert (await health.Check(health_pb2.HealthCheckRequest())).status == SERVING
                listing = ServerReflectionStub(channel).ServerReflectionInfo(
                    iter([reflection_pb2.ServerReflectionRequest(list_services="")])
                )
                with pytest.raises(grpc.aio.AioRpcError):
                    [reply async for reply in listing]
        async with open_channel(server.address, token="s3cret") as channel:
            assert (await recognize(channel)).model_name == "abc"


def certificate(folder: Path) -> TlsSettings:
    """A self-signed certificate for 127.0.0.1, as its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return TlsSettings(cert_file=cert_file, key_file=key_file, ca_file=cert_file)


async def test_tls_both_ways(harness: Harness, tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    async with harness.serve(tls=tls) as server:
        async with open_channel(server.address, tls) as channel:
            assert (await recognize(channel)).model_name == "abc"
        anonymous = TlsSettings(ca_file=tls.ca_file)
        for settings in (anonymous, None):
            async with open_channel(server.address, settings) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await recognize(channel)
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_permissive_port_takes_plain_text_beside_tls(harness: Harness, tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    photo = b"\xff" * (3 << 20)
    async with harness.serve(tls=tls.model_copy(update={"permissive": True})) as server:
        for given in (tls, None):
            async with open_channel(server.address, given) as channel:
                assert (await recognize(channel, image=photo)).image_width == len(photo)
        async with open_channel(server.address, TlsSettings(ca_file=tls.ca_file)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await recognize(channel)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE, "who speaks TLS shows a certificate"
        _, port = server.address.rsplit(":", 1)
        with pytest.raises(OSError, match="is another process using the port"):
            async with harness.serve(tls=tls.model_copy(update={"permissive": True}), port=int(port)):
                pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(port))


async def test_a_permissive_port_drains_like_any_other(harness: Harness, tmp_path: Path) -> None:
    tls = certificate(tmp_path).model_copy(update={"permissive": True})
    async with open_server(harness, tls=tls) as (server, stop), open_channel(server.address, None) as channel:
        call = asyncio.create_task(recognize(channel, language="wait", image=b"12"))
        await harness.echo.entered.wait()
        stop.set()
        harness.echo.gate.set()
        assert (await call).image_width == 2


async def test_draining_answers_calls_in_flight_and_says_so(harness: Harness) -> None:
    watched: list[int] = []
    async with open_server(harness) as (server, stop), open_channel(server.address) as channel:
        call = asyncio.create_task(recognize(channel, language="wait"))
        await harness.echo.entered.wait()
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=NAME))
        watched.append((await watch.read()).status)
        stop.set()
        watched.append((await watch.read()).status)
        harness.echo.gate.set()
        assert (await call).model_name == "abc"
    assert watched == [SERVING, NOT_SERVING]


@asynccontextmanager
async def open_server(harness: Harness, **changes: Any) -> AsyncIterator[tuple[RunningServer, asyncio.Event]]:
    """A server that begins to drain when the event is set, while the block goes on."""
    started: asyncio.Future[RunningServer] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def life() -> None:
        async with harness.serve(**changes) as server:
            started.set_result(server)
            await stop.wait()

    task = asyncio.create_task(life())
    yield await started, stop
    stop.set()
    await task


async def test_a_caller_who_leaves_cancels_the_work(harness: Harness) -> None:
    async with harness.serve() as server, open_channel(server.address) as channel:
        call = asyncio.create_task(recognize(channel, language="wait"))
        await harness.echo.entered.wait()
        call.cancel()
        await asyncio.wait_for(harness.echo.cancelled.wait(), PATIENCE_SECONDS)


async def test_a_busy_port_is_a_clear_error(harness: Harness) -> None:
    async with harness.serve() as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(OSError, match="another process"):
            async with harness.serve(port=port):
                pass
