"""gRPC to one endpoint: one channel of its own, so that load is spread per request and not per connection.

Messages cross this seam as bytes: a call is serialised once, however many tries it takes. Whose a failure is, is read
from the marks of `mesh.core.rpc.status`, never from a text.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from immich_mesh.model.v1 import model_pb2

from mesh.core import stages
from mesh.core.errors import (
    DeadlineExceededError,
    DimensionMismatchError,
    InvalidInputError,
    MeshError,
    ModelNotFoundError,
    ModelUnavailableError,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
)
from mesh.core.rpc import status
from mesh.core.rpc.channels import open_channel
from mesh.core.rpc.tokens import BearerToken
from mesh.core.settings import TlsSettings
from mesh.core.tracing import trace_headers
from router.errors import from_grpc
from router.upstream.calls import Call, FailureKind, TryFailedError
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Probe

HEALTH_METHOD = "/grpc.health.v1.Health/Check"
LIST_METHOD = "/immich_mesh.model.v1.ModelService/ListModels"

_EXCLUSIVE = ((status.EXCLUSIVE, "1"),)
_TIMED = ((stages.ASK, "1"),)
# Of the codes that mean something here, those that gRPC's libraries never make up (its page on status codes), so that
# they are the service's own though it sends no mark: one of an older version, in the middle of an upgrade.
_NEVER_MADE_UP = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}
)
_ANSWERED: dict[type[MeshError], FailureKind] = {
    InvalidInputError: FailureKind.CLIENT,
    ModelNotFoundError: FailureKind.CLIENT,
    DimensionMismatchError: FailureKind.CLIENT,
    UnauthenticatedError: FailureKind.CLIENT,
    OverloadedError: FailureKind.OVERLOADED,
    UnavailableError: FailureKind.UNAVAILABLE,
    ModelUnavailableError: FailureKind.MODEL_UNAVAILABLE,
    DeadlineExceededError: FailureKind.TIMEOUT,
}
# What the unmarked status of a call that never started means; other codes are a broken endpoint.
_NOT_STARTED = {
    grpc.StatusCode.UNAVAILABLE: FailureKind.UNREACHABLE,
    grpc.StatusCode.CANCELLED: FailureKind.UNREACHABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: FailureKind.OVERLOADED,
    grpc.StatusCode.UNAUTHENTICATED: FailureKind.CLIENT,
}
# With a service's own mark: its token is another than the router's. A caller has no say in it.
_REFUSED = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
# Where a service is known to mark its own, these come from the connection or a proxy too.
_MADE_UP = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})


class _Way:
    """A channel with its methods."""

    def __init__(self, address: Address, tls: TlsSettings | None) -> None:
        self.channel = open_channel(address.target, tls, server_name=address.server_name or None)
        self._methods: dict[str, Any] = {}

    def method(self, name: str) -> Any:
        """A method that takes and gives bytes."""
        if (found := self._methods.get(name)) is None:
            found = self._methods[name] = self.channel.unary_unary(name)
        return found


class GrpcTransport:
    """A channel to one endpoint.

    With `tls.permissive` there are two, and the one that health checks get through on is used: a rollout that turns
    TLS on or off has pods of both kinds.

    Args:
        address: where, and the name its certificate must carry.
        service: full name of the service whose health is asked for, e.g. `immich_mesh.ocr.v1.OcrService`.
        tls: None for plain text.
        token: bearer token put on every call, health checks included.
    """

    def __init__(self, address: Address, service: str, tls: TlsSettings | None, token: BearerToken | None) -> None:
        self.address = address.target
        self._way = _Way(address, tls)
        self._other = _Way(address, None) if tls is not None and tls.permissive else None
        self._token = token
        self._accepted = False  # whether this endpoint was seen to take the token, and has not refused it since
        self._marks = False  # whether this endpoint was seen to mark what is its own
        self._watching: asyncio.Task[None] | None = None
        self._health_request = health_pb2.HealthCheckRequest(service=service).SerializeToString()

    async def send(self, call: Call, seconds: float) -> bytes:
        """One try: the serialised reply. Raises TryFailedError."""
        headers = (*call.headers, *trace_headers().items(), *self._authorization())
        timed = call.stats.stages is not None
        asked = (*(_EXCLUSIVE if call.exclusive else ()), *(_TIMED if timed else ()))
        try:
            running = self._way.method(call.method)(call.message, timeout=seconds, metadata=(*headers, *asked))
            reply: bytes = await running
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        self._accepted = True
        if not self._marks:
            self._marks = bool(status.find(await running.initial_metadata(), status.STARTED))
        if timed:
            call.stats.stages = stages.parsed(status.find(await running.trailing_metadata(), stages.TOLD))
        return reply

    async def invoke(self, method: str, message: bytes, seconds: float) -> bytes:
        """A bare call of any method. Raises grpc.aio.AioRpcError; `answered_error` says what it means."""
        return await self._invoke(self._way, method, message, seconds)

    async def _invoke(self, way: _Way, method: str, message: bytes, seconds: float) -> bytes:
        reply: bytes = await way.method(method)(message, timeout=seconds, metadata=self._authorization())
        return reply

    def _authorization(self) -> tuple[tuple[str, str], ...]:
        return (self._token.header(),) if self._token else ()

    async def probe(self, seconds: float) -> Probe:
        """One health check of the service, and whether it takes the token, which health checks alone do not tell."""
        found = await self._reach(seconds)
        if self._accepted or found not in (Probe.SERVING, Probe.NOT_SERVING):
            return found
        return Probe.REFUSED if await self._refuses(seconds) else found

    def watch(self, lost: Callable[[], None]) -> bool:
        """Calls back once when the connection of now breaks: a process that ends is noticed between two checks."""
        if self._watching is not None and not self._watching.done():
            return True
        channel = self._way.channel
        if channel.get_state() is not grpc.ChannelConnectivity.READY:
            return False

        async def wait() -> None:
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
            lost()

        self._watching = asyncio.create_task(wait(), name=f"connection to {self.address}")
        return True

    async def _reach(self, seconds: float) -> Probe:
        found = await self._check(self._way, seconds)
        if found is Probe.UNREACHABLE and self._other is not None:
            otherwise = await self._check(self._other, seconds)
            if otherwise is not Probe.UNREACHABLE:
                self._way, self._other = self._other, self._way
                return otherwise
        return found

    async def _check(self, way: _Way, seconds: float) -> Probe:
        try:
            # gRPC's own timer does not run while a paused process leaves the channel connecting.
            async with asyncio.timeout(seconds + 0.5):
                reply = await self._invoke(way, HEALTH_METHOD, self._health_request, seconds)
        except TimeoutError:
            return Probe.TIMEOUT
        except grpc.aio.AioRpcError as error:
            return self._probe_failure(error)
        status = health_pb2.HealthCheckResponse.FromString(reply).status
        return Probe.SERVING if status == health_pb2.HealthCheckResponse.SERVING else Probe.NOT_SERVING

    async def _refuses(self, seconds: float) -> bool:
        """Whether the service refuses the token; asked until it was seen to take it, or has no call to ask with."""
        request = model_pb2.ListModelsRequest().SerializeToString()
        try:
            async with asyncio.timeout(seconds + 0.5):
                await self.invoke(LIST_METHOD, request, seconds)
        except TimeoutError:
            return False
        except grpc.aio.AioRpcError as error:
            self._accepted = error.code() is grpc.StatusCode.UNIMPLEMENTED
            return _refused(error)
        self._accepted = True
        return False

    async def progress(self, seconds: float) -> str:
        """The models on their way, e.g. `is downloading ViT-B-16__cn-clip (43%)`; empty when nothing can be told."""
        request = model_pb2.ListModelsRequest().SerializeToString()
        try:
            async with asyncio.timeout(seconds):
                reply = await self.invoke(LIST_METHOD, request, seconds)
        except (TimeoutError, grpc.aio.AioRpcError):
            return ""
        models = model_pb2.ListModelsResponse.FromString(reply).models
        downloading = {
            f"is downloading {model.name} ({model.download_progress:.0%})"
            for model in models
            if model.state == model_pb2.MODEL_STATE_DOWNLOADING
        }
        loading = {f"is loading {model.name}" for model in models if model.state == model_pb2.MODEL_STATE_LOADING}
        return " and ".join(sorted(downloading or loading))

    async def close(self) -> None:
        """Closes it; calls under way fail."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await asyncio.gather(*(way.channel.close() for way in (self._way, self._other) if way is not None))

    @staticmethod
    def _probe_failure(error: grpc.aio.AioRpcError) -> Probe:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Probe.TIMEOUT
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return Probe.SERVING  # a server without health checking is there, or it would not have answered
        return Probe.UNREACHABLE if error.code() is grpc.StatusCode.UNAVAILABLE else Probe.NOT_SERVING

    def _failure(self, error: grpc.aio.AioRpcError) -> TryFailedError:
        """What a failed call says about the endpoint, by its marks."""
        code = error.code()
        mark = status.find(error.trailing_metadata(), status.STATUS)
        started = status.find(error.initial_metadata(), status.STARTED)
        self._marks = self._marks or bool(mark or started)
        if _refused(error):
            self._accepted = False
            remedy = "set the same MESH_AUTH_TOKEN on both sides"
            problem = UnavailableError(f"endpoint {self.address} refuses the router's token: {remedy}")
            return TryFailedError(FailureKind.REFUSED, problem)
        if mark or code in _NEVER_MADE_UP:
            return self._answered(error)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return TryFailedError(FailureKind.TIMEOUT, DeadlineExceededError("no answer before the deadline"))
        if started:
            died = UnavailableError(f"endpoint {self.address} died during the call")
            return TryFailedError(FailureKind.DIED, died, exclusive=started == "exclusive")
        if self._marks and code in _MADE_UP:
            kind = FailureKind.UNREACHABLE
        else:
            kind = _NOT_STARTED.get(code, FailureKind.BROKEN)
        if kind is FailureKind.UNREACHABLE:
            return TryFailedError(kind, UnavailableError(f"endpoint {self.address} cannot be reached"))
        return self._answered(error)

    def _answered(self, error: grpc.aio.AioRpcError) -> TryFailedError:
        """The service's own status, marked or of a version that sends no marks."""
        problem = answered_error(error)
        kind = _ANSWERED.get(type(problem), FailureKind.BROKEN)
        if kind is FailureKind.BROKEN:
            problem = MeshError(f"endpoint {self.address} failed ({error.code().name}); its logs tell why")
        return TryFailedError(kind, problem, status.pushback_seconds(error.trailing_metadata()))


def _refused(error: grpc.aio.AioRpcError) -> bool:
    return error.code() in _REFUSED and bool(status.find(error.trailing_metadata(), status.STATUS))


def answered_error(error: grpc.aio.AioRpcError, prefix: str = "") -> MeshError:
    """The domain error of a service's status, its message after `prefix`."""
    trailers = error.trailing_metadata()
    word, seconds = status.find(trailers, status.STATUS), status.pushback_seconds(trailers)
    return from_grpc(error.code(), f"{prefix}{error.details() or error.code().name}", word, seconds)
