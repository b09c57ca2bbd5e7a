"""gRPC to one endpoint: one channel of its own, so that load is spread per request and not per connection.

Messages cross this seam as bytes: a call is serialised once, however many tries it takes.
"""

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from immich_mesh.model.v1 import model_pb2

from mesh.core.channels import open_channel
from mesh.core.errors import DeadlineExceededError, MeshError, UnavailableError
from mesh.core.settings import TlsSettings
from mesh.core.tracing import trace_headers
from router.errors import from_grpc
from router.upstream.calls import Call, FailureKind, TryFailedError
from router.upstream.endpoints.discovery import Address
from router.upstream.endpoints.endpoint import Probe

PUSHBACK_TRAILER = "grpc-retry-pushback-ms"
HEALTH_METHOD = "/grpc.health.v1.Health/Check"
LIST_METHOD = "/immich_mesh.model.v1.ModelService/ListModels"

# gRPC's own words for UNAVAILABLE that no server has sent. They are no API, so `test_grpc_transport` kills, refuses and
# drops real connections to notice when a new version says it differently.
_NEVER_ARRIVED = (
    "failed to connect",
    "connections to all backends failing",
    "dns resolution failed",
    "name resolution",
    "sendmsg",
    "broken pipe",
)
_CONNECTION_LOST = (
    "socket closed",
    "stream removed",
    "connection reset",
    "recvmsg",
    "goaway",
    "transport closed",
    "keepalive watchdog",
    "ping timeout",
    "connection aborted",
    "endpoint closing",
    "end of tcp stream",
)

_KINDS = {
    grpc.StatusCode.INVALID_ARGUMENT: FailureKind.CLIENT,
    grpc.StatusCode.NOT_FOUND: FailureKind.CLIENT,
    grpc.StatusCode.FAILED_PRECONDITION: FailureKind.CLIENT,
    grpc.StatusCode.UNAUTHENTICATED: FailureKind.CLIENT,
    grpc.StatusCode.DEADLINE_EXCEEDED: FailureKind.TIMEOUT,
    grpc.StatusCode.UNAVAILABLE: FailureKind.UNAVAILABLE,
}


class GrpcTransport:
    """A channel to one endpoint.

    Args:
        address: where, and the name its certificate must carry.
        service: full name of the service whose health is asked for, e.g. `immich_mesh.ocr.v1.OcrService`.
        tls: None for plain text.
        token: bearer token put on every call, health checks included.
    """

    def __init__(self, address: Address, service: str, tls: TlsSettings | None, token: str | None) -> None:
        self.address = address.target
        self._channel = open_channel(address.target, tls, server_name=address.server_name or None)
        self._authorization = (("authorization", f"Bearer {token}"),) if token else ()
        self._methods: dict[str, Any] = {}
        self._health_request = health_pb2.HealthCheckRequest(service=service).SerializeToString()

    async def send(self, call: Call, seconds: float) -> bytes:
        """One try: the serialised reply. Raises TryFailedError."""
        try:
            headers = (*call.headers, *trace_headers().items(), *self._authorization)
            return await self.invoke(call.method, call.message, seconds, headers)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error

    async def invoke(
        self, method: str, message: bytes, seconds: float, headers: tuple[tuple[str, str], ...] | None = None
    ) -> bytes:
        """A bare call of any method. Raises grpc.aio.AioRpcError."""
        callable_ = self._methods.get(method)
        if callable_ is None:
            callable_ = self._methods[method] = self._channel.unary_unary(method)
        metadata = self._authorization if headers is None else headers
        reply: bytes = await callable_(message, timeout=seconds, metadata=metadata)
        return reply

    async def probe(self, seconds: float) -> Probe:
        """One health check of the service."""
        try:
            # gRPC's own timer does not run while a paused process leaves the channel connecting.
            async with asyncio.timeout(seconds + 0.5):
                reply = await self.invoke(HEALTH_METHOD, self._health_request, seconds)
        except TimeoutError:
            return Probe.TIMEOUT
        except grpc.aio.AioRpcError as error:
            return self._probe_failure(error)
        status = health_pb2.HealthCheckResponse.FromString(reply).status
        return Probe.SERVING if status == health_pb2.HealthCheckResponse.SERVING else Probe.NOT_SERVING

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
        """Closes the channel; calls under way fail."""
        await self._channel.close()

    @staticmethod
    def _probe_failure(error: grpc.aio.AioRpcError) -> Probe:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Probe.TIMEOUT
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return Probe.SERVING  # a server without health checking is there, or it would not have answered
        return Probe.UNREACHABLE if error.code() is grpc.StatusCode.UNAVAILABLE else Probe.NOT_SERVING

    def _failure(self, error: grpc.aio.AioRpcError) -> TryFailedError:
        code, text = error.code(), error.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE:
            return self._unavailable(error, text)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return TryFailedError(FailureKind.OVERLOADED, from_grpc(code, text), _pushback_seconds(error))
        kind = _KINDS.get(code, FailureKind.BROKEN)
        if kind is FailureKind.BROKEN:
            return TryFailedError(kind, MeshError(f"endpoint {self.address} failed ({code.name}); its logs tell why"))
        problem = (
            DeadlineExceededError(f"no answer before the deadline: {text}") if kind is FailureKind.TIMEOUT else None
        )
        return TryFailedError(kind, problem or from_grpc(code, text))

    def _unavailable(self, error: grpc.aio.AioRpcError, text: str) -> TryFailedError:
        lower = text.lower()
        if any(words in lower for words in _NEVER_ARRIVED):
            return TryFailedError(
                FailureKind.UNREACHABLE, UnavailableError(f"endpoint {self.address} cannot be connected to")
            )
        if any(words in lower for words in _CONNECTION_LOST):
            return TryFailedError(FailureKind.DIED, UnavailableError(f"endpoint {self.address} died during the call"))
        return TryFailedError(FailureKind.UNAVAILABLE, UnavailableError(text), _pushback_seconds(error))


def _pushback_seconds(error: grpc.aio.AioRpcError) -> float | None:
    for key, value in error.trailing_metadata() or ():
        if key == PUSHBACK_TRAILER:
            try:
                return max(0.0, float(value) / 1000)
            except ValueError:
                return None
    return None
