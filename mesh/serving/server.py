"""A model service as a process: gRPC server with health and reflection, metrics, preloading, draining."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import prometheus_client
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from immich_mesh.model.v1 import model_pb2_grpc

from mesh.core.errors import MeshError
from mesh.core.logs import configure_logs
from mesh.core.rpc.channels import SERVER_OPTIONS, server_credentials
from mesh.core.rpc.tokens import BearerToken
from mesh.core.settings import ServiceSettings
from mesh.core.settings.reading import InvalidSettingsError, read_settings
from mesh.core.settings.unknown import unknown_settings
from mesh.core.tracing import configure_tracing
from mesh.core.version import mesh_version
from mesh.hub.store import ModelStore
from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.precedence import Precedence
from mesh.serving.inference.traffic import Traffic
from mesh.serving.interceptors import CallInterceptor, TokenInterceptor
from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.renewal import Renewal, Renewed
from mesh.serving.model_servicer import ModelServicer
from mesh.serving.permissive import tls_or_plain_text
from mesh.serving.runtimes.devices import require_device
from mesh.serving.runtimes.session import RuntimeSettings

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

MODEL_SERVICE = "immich_mesh.model.v1.ModelService"
SWEEP_SECONDS = 5.0


@dataclass(frozen=True)
class Service:
    """What a package contributes to a process.

    Attributes:
        name: full name of its gRPC service, e.g. `immich_mesh.ocr.v1.OcrService`.
        register: adds its servicer to a server.
        manager: its models.
        read: puts one encoded photo through its default model, as a request does; raises what a request is refused by.
    """

    name: str
    register: Callable[[grpc.aio.Server], None]
    manager: ModelManager
    read: Callable[[bytes], Awaitable[object]]


@dataclass(frozen=True)
class ServiceContext:
    """What a package builds its service from."""

    compute: ComputePool
    runtime: RuntimeSettings
    store: ModelStore

    @classmethod
    def of(cls, settings: ServiceSettings) -> "ServiceContext":
        """From a service's settings. Raises UnavailableError when the device that was asked for does not work."""
        runtime = require_device(RuntimeSettings.of(settings))
        cache_folder = settings.cache_folder
        whole_machine = runtime.device.is_processor and runtime.cores == os.cpu_count()
        compute = ComputePool(runtime.cores, Precedence(cache_folder), Traffic(cache_folder), shared=whole_machine)
        return cls(compute, runtime, ModelStore.of(settings))


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        address: `host:port` to call it at.
        ready: set once preloading is over and health says SERVING.
    """

    address: str
    ready: asyncio.Event


@asynccontextmanager
async def running(service: Service, settings: ServiceSettings) -> AsyncIterator[RunningServer]:
    """Serves until the block ends, then drains: health says NOT_SERVING, calls in flight are answered, models unload.

    Raises:
        OSError: the port is taken, or a TLS or token file is of no use.
    """
    interceptors: list[grpc.aio.ServerInterceptor] = [CallInterceptor()]
    if token := BearerToken.of(settings.auth_token, settings.auth_token_file):
        interceptors.insert(0, TokenInterceptor(token))
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=interceptors)
    service.register(server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(service.manager), server)
    statuses = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(statuses, server)
    names = (service.name, MODEL_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    for name in ("", service.name):
        await statuses.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
    await statuses.set(MODEL_SERVICE, health_pb2.HealthCheckResponse.SERVING)

    async with _listening(server, settings) as address:
        ready = asyncio.Event()
        work = [_become_ready(service, settings, statuses, ready), _sweep(service.manager)]
        chores = [asyncio.create_task(_watched(chore, statuses, ("", service.name, MODEL_SERVICE))) for chore in work]
        try:
            yield RunningServer(address, ready)
        finally:
            for chore in chores:
                chore.cancel()
            service.manager.stop_fetching()
            await statuses.enter_graceful_shutdown()
            await server.stop(settings.drain_seconds)
            await asyncio.gather(*chores, return_exceptions=True)
            await service.manager.close()


@asynccontextmanager
async def _listening(server: grpc.aio.Server, settings: ServiceSettings) -> AsyncIterator[str]:
    """Binds the port and starts the server, which the block stops; yields where it is called. Raises OSError."""
    credentials = server_credentials(settings.tls)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if credentials is not None and settings.tls.permissive:
        async with tls_or_plain_text(server, credentials, settings.host, settings.port) as port:
            yield f"{host}:{port}"
    else:
        port = _bind(server, f"{host}:{settings.port}", credentials)
        await server.start()
        yield f"{host}:{port}"


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: is another process using the port?") from error
    if port == 0:
        raise OSError(f"cannot listen on {address}: is another process using the port?")
    return port


async def _become_ready(
    service: Service, settings: ServiceSettings, statuses: "health.aio.HealthServicer", ready: asyncio.Event
) -> None:
    """Preloads, then says SERVING. A model that cannot be had is reported, to its requests too; others are served."""
    for name in _preload_names(settings):
        try:
            await service.manager.load(name)
        except MeshError as error:
            log.error("model not preloaded", model=name, reason=error.message)
    for name in ("", service.name):
        await statuses.set(name, health_pb2.HealthCheckResponse.SERVING)
    ready.set()
    log.info("ready", service=service.name)


async def _watched(
    chore: Coroutine[Any, Any, None], statuses: "health.aio.HealthServicer", names: Sequence[str]
) -> None:
    """Runs a chore; one that dies turns health, liveness too, so that the process is started again."""
    try:
        await chore
    except Exception:  # whatever it is, nobody else would hear of it
        log.critical("a chore of the service died", exc_info=True)
        for name in names:
            await statuses.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)


def _preload_names(settings: ServiceSettings) -> list[str]:
    default = [] if settings.lazy else [settings.model_name]
    return list(dict.fromkeys([*default, *settings.preload]))


async def _sweep(manager: ModelManager) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await manager.sweep()


def run(kind: type[S], build: Callable[[S, ServiceContext], Service], process: str) -> int:
    """The whole life of a service process, until SIGTERM or SIGINT, or until a new one takes its place.

    Args:
        kind: the service's own settings, read from the environment here and nowhere else.
        build: makes the service, once the device is known to be there.
        process: short name for logs and traces, e.g. `ocr`.

    Returns:
        The exit code: 0 after a clean end, 1 when it cannot start, 2 for wrong settings.
    """
    try:
        settings = read_settings(kind)
    except InvalidSettingsError as error:
        for fault in error.faults:
            print(f"immich-mesh {process}: {fault}", file=sys.stderr)  # noqa: T201 - no log level yet
        return 2
    configure_logs(settings.log_level, settings.log_format, process)
    configure_tracing(f"immich-mesh-{process}")
    for unknown in unknown_settings(os.environ, [kind], (f"{process.upper()}_",)):
        log.warning("unknown setting", name=unknown.name, advice=unknown.advice)
    renewed = Renewed(os.environ)
    if renewed:
        settings = settings.model_copy(update={"lazy": True, "preload": ()})
    try:
        outworn = uvloop.run(_main(settings, build, renewed))
    except MeshError as error:
        log.critical("cannot start", reason=error.message)
        return 1
    except OSError as error:
        log.critical("cannot start", reason=str(error))
        return 1
    if outworn is not None:
        outworn.replace()
    return 0


async def _main(settings: S, build: Callable[[S, ServiceContext], Service], renewed: Renewed) -> Renewal | None:
    """Serves until told to end; what is to be done then, if the process is to be replaced."""
    context = ServiceContext.of(settings)
    service = build(settings, context)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if settings.metrics_port is not None:
        prometheus_client.start_http_server(settings.metrics_port, settings.metrics_host)
    async with running(service, settings) as server:
        log.info("listening", address=server.address, version=mesh_version(), device=context.runtime.device.value)
        renewed.settled()
        # One that listens on any free port would not be found again.
        holds_nothing = service.manager.holds_nothing if settings.port else lambda: False
        renewal = Renewal(holds_nothing, settings.cache_folder)
        if await _ends(stop, renewal):
            log.info("draining", seconds=settings.drain_seconds)
        else:
            log.info("a fresh process takes over: no model is in memory")
    context.compute.close()
    return None if stop.is_set() else renewal


async def _ends(stop: asyncio.Event, renewal: Renewal) -> bool:
    """Waits until the process is told to end (True), or is to be replaced."""
    while not renewal.is_due():
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_SECONDS):
                await stop.wait()
        if stop.is_set():
            return True
    return False
