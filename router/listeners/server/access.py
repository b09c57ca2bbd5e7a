"""The access line: one for each prediction request.

structlog's way through the standard library costs more than routing, balancing and assembling a request together, so
this one line is written directly, in the same two shapes that `mesh.core.logs` gives to all others.
"""

import logging
import sys
from datetime import datetime
from typing import Any, Protocol

import orjson

from mesh.core.settings import LogFormat
from router.listeners.server.recent import AnsweredRequest

SERVICE = "immich-mesh-router"


class Stream(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> Any:
        """Writes a line."""


class AccessLog:
    """Writes to standard error while the log level lets INFO through.

    Args:
        fmt: pretty or JSON.
        stream: instead of standard error.
    """

    def __init__(self, fmt: LogFormat, stream: Stream | None = None) -> None:
        self.enabled = True
        self._format = _json_line if fmt is LogFormat.JSON else _pretty_line
        self.stream = stream
        self._root = logging.getLogger()

    def write(self, request: AnsweredRequest) -> None:
        """One line about an answered request."""
        if self.enabled and self._root.isEnabledFor(logging.INFO):
            (self.stream or sys.stderr).write(self._format(request.at, _fields(request)))


def _fields(request: AnsweredRequest) -> dict[str, object]:
    fields: dict[str, object] = {
        "listener": request.listener,
        "method": request.method,
        "path": request.path,
        "code": request.code,
        "task": request.task,
        "model": request.model,
        "endpoint": request.endpoint,
        "tries": request.tries,
        "ms": request.ms,
        "queue_ms": request.held_ms,
        "service_ms": request.service_ms,
        "bytes": request.bytes,
        "request_id": request.request_id,
    }
    if request.shared:
        fields["shared"] = True
    return fields


def _json_line(at: datetime, fields: dict[str, object]) -> str:
    line = {"event": "request", "level": "info", "timestamp": at, "service": SERVICE, **fields}
    return orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE).decode()


def _pretty_line(at: datetime, fields: dict[str, object]) -> str:
    # Names come from clients: quoted when they could be taken for more than one word.
    words = " ".join(f"{key}={_word(value)}" for key, value in fields.items() if value != "")
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ} [info     ] request                        {words}\n"


def _word(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)
