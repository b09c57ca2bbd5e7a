"""All three services in one in-process gRPC server, on `bench.chaos.answers`' known answers unless told otherwise."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from bench.chaos.replica import METHODS, Reply
from mesh.core.errors import MeshError
from mesh.core.rpc.channels import SERVER_OPTIONS
from mesh.serving.interceptors import CallInterceptor

Behaviour = Callable[[str, bytes, Any], Awaitable[bytes | None]]


async def _sensible(method: str, data: bytes, context: Any) -> None:
    """Leaves the answer to the known ones."""


class Services:
    """What the server does and has seen.

    Args:
        marks: False for a service of a version that marks none of its statuses.

    Attributes:
        unmarked: answers in the place of everything behind it, as a proxy in between does; None for no proxy.
        behave: called before the known answer is given; may answer itself, abort, or wait.
        metadata: of every call, newest last.
        calls: full method names, newest last.
        active: calls under way.
    """

    def __init__(self, *, marks: bool = True) -> None:
        self._marks = marks
        self.behave: Behaviour = _sensible
        self.unmarked: Behaviour | None = None
        self.metadata: list[dict[str, str]] = []
        self.calls: list[str] = []
        self.active = 0
        self.cancelled = 0
        self.port = 0
        self._health = health.aio.HealthServicer()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def set_serving(self, serving: bool) -> None:
        """What health checks say."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in METHODS:
            await self._health.set(service, status)

    async def start(self, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> grpc.aio.Server:
        """Listens; with TLS when there are credentials."""
        marking = [CallInterceptor()] if self._marks else []
        server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=[_Proxy(self), *marking])
        for service, methods in METHODS.items():
            handlers: dict[str, Any] = {
                method: grpc.unary_unary_rpc_method_handler(self._handler(method, reply))
                for method, reply in methods.items()
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        await self.set_serving(True)
        address = f"127.0.0.1:{port}"
        self.port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        await server.start()
        return server

    def _handler(self, method: str, reply: Reply) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def answer(data: bytes, context: Any) -> bytes:
            self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
            self.calls.append(method)
            self.active += 1
            try:
                own = await self.behave(method, data, context)
                return reply(data).SerializeToString() if own is None else own
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.active -= 1

        return answer


class _Proxy(grpc.aio.ServerInterceptor):
    def __init__(self, services: Services) -> None:
        self._services = services

    async def intercept_service(self, continuation: Any, handler_call_details: grpc.HandlerCallDetails) -> Any:
        unmarked = self._services.unmarked
        if unmarked is None:
            return await continuation(handler_call_details)

        async def answer(data: bytes, context: Any) -> None:
            await unmarked("", data, context)

        return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def running_services(
    credentials: grpc.ServerCredentials | None = None, *, marks: bool = True
) -> AsyncIterator[Services]:
    """A server for the length of the block."""
    services = Services(marks=marks)
    server = await services.start(credentials=credentials)
    try:
        yield services
    finally:
        await server.stop(None)


def aborting(code: grpc.StatusCode, text: str, **trailers: str) -> Behaviour:
    """Every call ends in this status."""

    async def behave(_: str, __: bytes, context: Any) -> None:
        context.set_trailing_metadata(tuple((key.replace("_", "-"), value) for key, value in trailers.items()))
        await context.abort(code, text)

    return behave


def raising(error: MeshError) -> Behaviour:
    """Every call ends in this error, as a service of ours tells it."""

    async def behave(_: str, __: bytes, ___: Any) -> None:
        raise error

    return behave
