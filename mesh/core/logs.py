"""Structured logs of every process: one line per event, pretty for a terminal or JSON for a collector, with the id of
the request that it belongs to."""

import logging
import sys

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from mesh.core.context import request_id
from mesh.core.settings import LogFormat, level_number


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if current := request_id.get():
        event.setdefault("request_id", current)
    return event


def configure_logs(level: str, fmt: LogFormat, service: str) -> None:
    """Sends the process's logs, the standard library's included, to standard error.

    Args:
        level: name of the lowest level that is written; it can be changed later with `set_level`.
        fmt: pretty or JSON.
        service: put on every line as `service`.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _add_request_id,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    # No local variables beside the tracebacks, as structlog would have it: photos and secrets are among them.
    final: list[Processor]
    if fmt is LogFormat.JSON:
        tracebacks = ExceptionDictTransformer(show_locals=False)
        final = [ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        plain = structlog.dev.plain_traceback
        final = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    set_level(level)
    structlog.contextvars.bind_contextvars(service=service)


def set_level(level: str) -> None:
    """Changes the lowest level that is written, at once. Raises ValueError for an unknown name."""
    number = level_number(level)
    logging.getLogger().setLevel(number)
    # These speak of every request or connection at INFO; they are for debugging them, not for running the mesh.
    for name in ("aiohttp.access", "asyncio", "httpx", "httpcore", "grpc"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
