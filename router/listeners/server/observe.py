"""The middleware around every handler: who may call, a request id, errors as JSON, metrics and the access line."""

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiohttp import web

from mesh.core.context import REQUEST_ID_HEADER, request_id
from mesh.core.errors import InvalidInputError, MeshError
from mesh.core.tracing import remote_span
from router.config import BufferingListenerSettings, ImmichMlListener, ListenerSettings
from router.domain.requests import PredictRequest
from router.errors import NoSuchPathError, WrongMethodError, error_body, http_status, retry_after
from router.listeners.server.access import AccessLog
from router.listeners.server.bodies import BODIES, LEASE
from router.listeners.server.body_budget import BodyBudget
from router.listeners.server.guard import Guard
from router.listeners.server.messages import PREDICT, REASON, json_response
from router.listeners.server.recent import AnsweredRequest, RecentRequests
from router.metrics import RouterMetrics

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[..., Awaitable[web.StreamResponse]]

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


def observing(context: ListenerContext, first_request: Callable[[web.Request], None]) -> Middleware:
    """The middleware of one listener; `first_request` is told of every request before anything else."""
    settings, metrics, name = context.settings, context.metrics, context.name
    hosts = settings.secret_hosts if isinstance(settings, ImmichMlListener) else ()
    guard = Guard(settings.allow, hosts)
    bodies = _budget(settings)
    shown = _without_secret if isinstance(settings, ImmichMlListener) and settings.path else _path
    in_flight = metrics.in_flight.labels(name)
    sizes = metrics.request_bytes.labels(name)

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        first_request(request)
        path = shown(request)
        given = request.headers.get(REQUEST_ID_HEADER, "")
        identity = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request_id.set(identity)
        if bodies is not None:
            request[BODIES] = bodies
        in_flight.inc()
        status = 499  # what nginx calls a client that left
        try:
            with remote_span(f"{name} {path}", request.headers):
                response = await _answered(request, handler, guard, identity, path)
            status = response.status
            if not response.prepared:
                response.headers[REQUEST_ID_HEADER] = identity
                if context.draining():
                    response.force_close()
            return response
        finally:
            in_flight.dec()
            took = time.monotonic() - started
            # aiohttp keeps a connection's last request for as long as the connection idles: without the photo.
            predict: PredictRequest | None = request.pop(PREDICT, None)
            if (lease := request.pop(LEASE, None)) is not None:
                lease.release()
            task = _task_label(path, predict)
            metrics.request_done(name, task, status, took)
            if task != "none" and status < 400 and _is_immich(request):
                context.recent.called(name, request.remote, task)
            if request.content_length:
                sizes.observe(request.content_length)
            if predict is not None:
                answered = _answered_request(name, request, path, predict, status, took)
                context.recent.add(answered)
                context.access_log.write(answered)
            elif context.access_log.enabled:
                _write_line(name, request, path, status, took)

    return observe


def _budget(settings: ListenerSettings) -> BodyBudget | None:
    if not isinstance(settings, BufferingListenerSettings):
        return None
    return BodyBudget(max(settings.max_buffered_bytes, settings.max_body_bytes))


def _path(request: web.Request) -> str:
    return request.rel_url.raw_path  # percent-encoded: no line ends, no control characters


def _without_secret(request: web.Request) -> str:
    """The end of the path where it is one of ours: what stands before it may be the secret, or nearly."""
    end = request.rel_url.raw_path.rpartition("/")[2]
    return f"/{end}" if end in ("", "ping", "predict") else "(hidden)"


async def _answered(
    request: web.Request, handler: Handler, guard: Guard, identity: str, path: str
) -> web.StreamResponse:
    # Errors are answered where they are caught: a local variable would tie them, by their traceback, to this frame and
    # the body in it until the garbage collector comes by.
    try:
        guard.check(request.remote, request.host)
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        return _error_response(_in_our_words(answer, request, path), identity, request)
    except MeshError as failure:
        return _error_response(failure, identity, request)
    except Exception as failure:
        log.exception("request failed", path=path)
        return _error_response(failure, identity, request)


def _in_our_words(answer: web.HTTPException, request: web.Request, path: str) -> MeshError:
    if isinstance(answer, web.HTTPNotFound):
        return NoSuchPathError(f"no such path here: {path}")
    if isinstance(answer, web.HTTPMethodNotAllowed):
        return WrongMethodError(f"{path} takes {', '.join(sorted(answer.allowed_methods))}, not {request.method}")
    return InvalidInputError(answer.reason)


def _error_response(error: Exception, identity: str, request: web.Request) -> web.Response:
    request[REASON] = error.message if isinstance(error, MeshError) else "internal error"
    response = json_response(error_body(error, identity), http_status(error)[0])
    if (seconds := retry_after(error)) is not None:
        response.headers["Retry-After"] = seconds
    return response


def _answered_request(
    name: str, request: web.Request, path: str, predict: PredictRequest, status: int, took: float
) -> AnsweredRequest:
    calls = predict.stats
    return AnsweredRequest(
        at=datetime.now(UTC),
        request_id=request_id.get(),
        listener=name,
        method=request.method,
        path=path,
        task=",".join(task.task if task.task != "clip" else f"clip {task.type}" for task in predict.tasks),
        model=",".join(task.model_name for task in predict.tasks),
        endpoint=",".join(call.endpoint for call in calls),
        code=status,
        tries=sum(call.tries for call in calls),
        ms=round(1000 * took, 1),
        held_ms=round(1000 * max(call.held_seconds for call in calls), 1),
        service_ms=round(1000 * max(call.upstream_seconds for call in calls), 1),
        bytes=predict.size,
        shared=any(call.shared for call in calls),
        answered_by=",".join(call.model for call in calls if call.model),
        reason=request.get(REASON, ""),
    )


def _task_label(path: str, predict: PredictRequest | None) -> str:
    if predict is None:
        return "ping" if path.endswith("/ping") else "none"
    if len(predict.tasks) > 1:
        return "several"
    task = predict.tasks[0]
    return f"{task.task}-textual" if task.type == "textual" else task.task


def _write_line(name: str, request: web.Request, path: str, status: int, took: float) -> None:
    # Probes, and an open admin page, ask again and again.
    asked_by_machines = path.endswith("/ping") or (name == "admin" and request.method == "GET")
    write = log.debug if asked_by_machines else log.info
    write(
        "request",
        listener=name,
        method=request.method,
        path=path,
        code=status,
        ms=round(1000 * took, 1),
        bytes=request.content_length or 0,
    )


def _is_immich(request: web.Request) -> bool:
    """Whether Immich's server sent it (`User-Agent: immich-server/2.7.5`), and not our own probe or a person's curl."""
    return request.headers.get("user-agent", "").startswith("immich")
