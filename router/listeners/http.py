"""What every HTTP listener has: its socket with limits, a request id, errors as JSON, metrics and the access line."""

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from common.context import REQUEST_ID_HEADER, request_id
from common.errors import InvalidInput, MeshError
from common.tracing import remote_span
from router.access import AccessLog
from router.config import ImmichMlListener, ListenerSettings
from router.errors import BodyTooLarge, BodyTooSlow, NoSuchPath, WrongMethod, error_body, http_status, retry_after
from router.listeners.guard import Guard
from router.metrics import RouterMetrics
from router.recent import AnsweredRequest, RecentRequests
from router.requests import PredictRequest

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PREDICT = web.RequestKey("predict", PredictRequest)
"""Where a handler leaves what it made of its request, for metrics and the access line."""
SERVER_OPTIONS = web.AppKey("server_options", dict[str, Any])
"""Where an application leaves more arguments for aiohttp's server, if it needs any."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """What a listener shares with the router: `draining` says whether connections are to be closed after an answer."""

    name: str
    settings: ListenerSettings
    metrics: RouterMetrics
    drain_seconds: float
    draining: Callable[[], bool]
    access_log: AccessLog
    recent: RecentRequests


class HttpListener:
    """A listening socket in front of an aiohttp application.

    Args:
        context: name, limits, metrics.
        app: handlers only; this class adds the middleware.
    """

    def __init__(self, context: ListenerContext, app: web.Application) -> None:
        self.context = context
        self.name = context.name
        self.settings = context.settings
        self.host = context.settings.host
        self.port = context.settings.port
        app.middlewares.insert(0, _observe(context, self._first_request))
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,  # a client that leaves cancels the work for it
            keepalive_timeout=context.settings.keepalive_seconds,
            shutdown_timeout=context.drain_seconds,
            **app.get(SERVER_OPTIONS, {}),
        )
        self._server: asyncio.Server | None = None
        self._newcomers: set[RequestHandler] = set()

    @property
    def is_open(self) -> bool:
        """Whether the socket listens."""
        return self._server is not None

    @property
    def address(self) -> str:
        """`host:port`, the port as it is when 0 was asked for."""
        return f"{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._runner.server.connections) if self._runner.server else 0

    async def start(self) -> None:
        """Opens the socket. Raises OSError when the port is taken."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self.host, self.settings.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def close_socket(self) -> None:
        """Takes no more connections; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Closes the socket, lets requests in flight finish for `drain_seconds`, then closes their connections."""
        self.close_socket()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= self.settings.max_connections:
            return _Refused()
        handler = server()
        # aiohttp times idle connections only after their first request.
        self._newcomers.add(handler)
        asyncio.get_running_loop().call_later(self.settings.header_timeout_seconds, self._give_up_on, handler)
        return handler

    def _first_request(self, request: web.Request) -> None:
        self._newcomers.discard(request.protocol)

    def _give_up_on(self, handler: RequestHandler) -> None:
        if handler in self._newcomers:
            self._newcomers.discard(handler)
            handler.force_close()


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def read_body(request: web.Request, settings: ListenerSettings) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: it exceeds the listener's limit; known from its header or found while reading.
        BodyTooSlow: it did not arrive in time.
        InvalidInput: it broke off or cannot be decoded.
    """
    limit = settings.max_body_bytes
    if request.content_length is not None and request.content_length > limit:
        raise BodyTooLarge(_too_large(limit))
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > limit:
                    raise BodyTooLarge(_too_large(limit))
                chunks.append(chunk)
    except TimeoutError as error:
        raise BodyTooSlow(f"the body did not arrive within {settings.body_timeout_seconds:g} s") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidInput(f"the body broke off or cannot be decoded: {error}") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> str:
    return f"the body exceeds {limit} bytes: send a smaller photo"


def json_response(body: bytes, status: int = 200) -> web.Response:
    """An answer of serialised JSON."""
    return web.Response(body=body, status=status, content_type="application/json")


def _observe(
    context: ListenerContext, first_request: Callable[[web.Request], None]
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """The middleware around every handler."""
    settings, metrics, name = context.settings, context.metrics, context.name
    hosts = settings.secret_hosts if isinstance(settings, ImmichMlListener) else ()
    guard = Guard(settings.allow, hosts)
    in_flight = metrics.in_flight.labels(name)
    sizes = metrics.request_bytes.labels(name)

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        first_request(request)
        given = request.headers.get(REQUEST_ID_HEADER, "")
        identity = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request_id.set(identity)
        in_flight.inc()
        status = 499  # what nginx calls a client that left
        try:
            with remote_span(f"{name} {request.path}", request.headers):
                response = await _answered(request, handler, guard, identity)
            status = response.status
            if not response.prepared:
                response.headers[REQUEST_ID_HEADER] = identity
                if context.draining():
                    response.force_close()
            return response
        finally:
            in_flight.dec()
            took = time.monotonic() - started
            predict: PredictRequest | None = request.get(PREDICT)
            metrics.request_done(name, _task_label(request, predict), status, took)
            if request.content_length:
                sizes.observe(request.content_length)
            if predict is not None:
                answered = _answered_request(name, request, predict, status, took)
                context.recent.add(answered)
                context.access_log.write(answered)
            elif context.access_log.enabled:
                _write_line(name, request, status, took)

    return observe


async def _answered(request: web.Request, handler: Handler, guard: Guard, identity: str) -> web.StreamResponse:
    # Errors are answered where they are caught: a local variable would tie them, by their traceback, to this frame and
    # the body in it until the garbage collector comes by.
    try:
        guard.check(request.remote, request.host)
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        return _error_response(_in_our_words(answer, request), identity)
    except MeshError as failure:
        return _error_response(failure, identity)
    except Exception as failure:
        log.exception("request failed", path=request.path)
        return _error_response(failure, identity)


def _in_our_words(answer: web.HTTPException, request: web.Request) -> MeshError:
    if isinstance(answer, web.HTTPNotFound):
        return NoSuchPath(f"no such path here: {request.path}")
    if isinstance(answer, web.HTTPMethodNotAllowed):
        return WrongMethod(f"{request.path} takes {', '.join(sorted(answer.allowed_methods))}, not {request.method}")
    return InvalidInput(answer.reason)


def _error_response(error: Exception, identity: str) -> web.Response:
    response = json_response(error_body(error, identity), http_status(error)[0])
    if (seconds := retry_after(error)) is not None:
        response.headers["Retry-After"] = seconds
    return response


def _answered_request(
    name: str, request: web.Request, predict: PredictRequest, status: int, took: float
) -> AnsweredRequest:
    trails = predict.trails
    return AnsweredRequest(
        at=datetime.now(UTC),
        request_id=request_id.get(),
        listener=name,
        method=request.method,
        path=request.path,
        task=",".join(task.task if task.task != "clip" else f"clip {task.type}" for task in predict.tasks),
        model=",".join(task.model_name for task in predict.tasks),
        endpoint=",".join(trail.endpoint for trail in trails),
        code=status,
        tries=sum(trail.tries for trail in trails),
        ms=round(1000 * took, 1),
        held_ms=round(1000 * max(trail.held_seconds for trail in trails), 1),
        service_ms=round(1000 * max(trail.upstream_seconds for trail in trails), 1),
        bytes=predict.size,
        shared=any(trail.shared for trail in trails),
    )


def _task_label(request: web.Request, predict: PredictRequest | None) -> str:
    if predict is None:
        return "ping" if request.path == "/ping" else "none"
    if len(predict.tasks) > 1:
        return "several"
    task = predict.tasks[0]
    return f"{task.task}-textual" if task.type == "textual" else task.task


def _write_line(name: str, request: web.Request, status: int, took: float) -> None:
    # Probes, and an open admin page, ask again and again.
    asked_by_machines = request.path == "/ping" or (name == "admin" and request.method == "GET")
    write = log.debug if asked_by_machines else log.info
    write(
        "request",
        listener=name,
        method=request.method,
        path=request.path,
        code=status,
        ms=round(1000 * took, 1),
        bytes=request.content_length or 0,
    )
