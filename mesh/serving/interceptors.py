"""What happens around every call of a service: its token is checked, its id, deadline and trace are taken up, it is
timed and logged, and a domain error becomes a gRPC status. The only place that maps errors to codes.

Every status carries the mark of `mesh.core.rpc.status`, and the mark that the work has begun is sent before it begins.
A caller that asks is told the stages of the work (`mesh.core.stages`).
"""

import functools
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import DecodeError

from mesh.core import context, stages
from mesh.core.errors import InvalidInputError, MeshError, UnauthenticatedError
from mesh.core.rpc import status
from mesh.core.rpc.tokens import BearerToken
from mesh.core.tracing import remote_span
from mesh.serving import metrics
from mesh.serving.exclusivity import Exclusivity

log = structlog.get_logger()

OPEN_TO_ALL = "/grpc.health.v1.Health/"
"""Probes carry no token."""
MODEL_SERVICE = "/immich_mesh.model.v1.ModelService/"
"""Its calls neither wait for an exclusive one nor keep it waiting: a load may take an hour."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # a plain class at run time
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]
Behaviour = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without the shared bearer token."""

    def __init__(self, token: BearerToken) -> None:
        self._token = token

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "Handler | None":
        """Lets the call on, or answers UNAUTHENTICATED in its place."""
        method = str(handler_call_details.method)
        given = str(_header(handler_call_details, "authorization"))
        handler: Handler | None = await continuation(handler_call_details)
        if handler is None or method.startswith(OPEN_TO_ALL) or self._token.accepts(given):
            return handler
        return _refusing(handler)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Serves unary calls within their request's context; streams (health watch, reflection) pass as they are."""

    def __init__(self) -> None:
        self._exclusivity = Exclusivity()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "Handler | None":
        """Wraps the handler of a unary call."""
        handler: Handler | None = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or handler.unary_unary is None or method.startswith(OPEN_TO_ALL):
            return handler
        headers = {str(key): str(value) for key, value in handler_call_details.invocation_metadata or ()}
        gated = not method.startswith(MODEL_SERVICE)
        exclusive = gated and headers.get(status.EXCLUSIVE) == "1"
        turn = functools.partial(self._exclusivity.enter, exclusive=exclusive) if gated else nullcontext
        behaviour = functools.partial(
            _begin, cast("Behaviour", handler.unary_unary), handler.request_deserializer, turn, exclusive
        )
        serve = functools.partial(_serve, method, headers, behaviour)
        return grpc.unary_unary_rpc_method_handler(serve, None, handler.response_serializer)


async def _begin(
    behaviour: Behaviour,
    parse: Callable[[bytes], Any] | None,
    turn: Callable[[], AbstractAsyncContextManager[None]],
    exclusive: bool,
    data: bytes,
    call: grpc.aio.ServicerContext[Any, Any],
) -> Any:
    """Waits for the call's turn, tells the caller that the work begins, and begins it."""
    came_ns = time.time_ns()
    async with turn():
        stages.note(stages.QUEUE, came_ns, time.time_ns())
        await call.send_initial_metadata(status.started_mark(exclusive=exclusive))
        return await behaviour(_parsed(parse, data), call)


def _parsed(parse: Callable[[bytes], Any] | None, data: bytes) -> Any:
    """The message. A body that is none is the caller's error; gRPC itself would call it an internal one, unmarked."""
    try:
        return parse(data) if parse else data
    except DecodeError:
        raise InvalidInputError("the request's body is not the message that this method takes") from None


async def _serve(
    method: str, headers: dict[str, str], behaviour: Behaviour, request: Any, call: grpc.aio.ServicerContext[Any, Any]
) -> Any:
    context.request_id.set(headers.get(context.REQUEST_ID_HEADER, ""))
    left: float | None = cast("float | None", call.time_remaining())  # the stubs forget calls without a deadline
    context.deadline.set(None if left is None else time.monotonic() + left)
    asked = stages.measured() if headers.get(stages.ASK) == "1" else None
    started = time.perf_counter()
    code, reason = grpc.StatusCode.CANCELLED, ""  # what stays when the caller leaves
    marks = status.status_marks(None)
    metrics.IN_FLIGHT.labels(method).inc()
    try:
        with remote_span(method.lstrip("/"), headers):
            response = await behaviour(request, call)
        if asked is not None:
            call.set_trailing_metadata(((stages.TOLD, stages.header_value(asked.seconds(time.time_ns()))),))
        code = grpc.StatusCode.OK
        return response
    except MeshError as error:
        code, reason, marks = error.code, error.message, status.status_marks(error)
    except grpc.aio.AbortError:
        code = grpc.StatusCode.UNKNOWN
        raise
    except Exception as error:  # the caller gets no exception text; the log has it
        code, reason = grpc.StatusCode.INTERNAL, repr(error)
        log.exception("call failed", method=method)
    finally:
        _record(method, code, reason, time.perf_counter() - started)
        del request  # see below
    try:
        return await call.abort(code, _hint() if code is grpc.StatusCode.INTERNAL else reason, marks)
    finally:
        # The call keeps the exception of `abort`, whose traceback keeps this frame: with call and request in it, all of
        # them would stay until the garbage collector comes by.
        del call


def _record(method: str, code: grpc.StatusCode, reason: str, seconds: float) -> None:
    metrics.IN_FLIGHT.labels(method).dec()
    metrics.REQUESTS.labels(method, code.name).inc()
    metrics.REQUEST_SECONDS.labels(method).observe(seconds)
    # The router writes the one line of a request for people; an error of the service's own has its traceback besides.
    why = {"reason": reason} if reason else {}
    log.debug("call", method=method, code=code.name, ms=round(seconds * 1000, 1), **why)


def _hint() -> str:
    identity = context.request_id.get()
    return f"internal error, see the service's log{f'; request id {identity}' if identity else ''}"


def _header(details: grpc.HandlerCallDetails, name: str) -> str | bytes:
    return next((value for key, value in details.invocation_metadata or () if key == name), "")


def _refusing(handler: Handler) -> Handler:
    """A handler of the same kind that answers UNAUTHENTICATED."""

    async def refuse(_: Any, call: grpc.aio.ServicerContext[Any, Any]) -> Any:
        error = UnauthenticatedError("the bearer token is missing or wrong: set the same MESH_AUTH_TOKEN on both sides")
        await call.abort(error.code, error.message, status.status_marks(error))

    async def refuse_stream(request: Any, call: grpc.aio.ServicerContext[Any, Any]) -> Any:
        yield await refuse(request, call)  # never yields: a streaming handler must be an asynchronous generator

    coders = (handler.request_deserializer, handler.response_serializer)
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse_stream, *coders)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(refuse_stream, *coders)
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(refuse, *coders)
    return grpc.unary_unary_rpc_method_handler(refuse, *coders)
