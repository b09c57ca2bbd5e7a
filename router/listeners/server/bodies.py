"""Bodies of requests, read within the listener's limits: as a whole where they are small, as a form where they hold a
photo.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from mesh.core.errors import InvalidInputError, OverloadedError
from router.config import ListenerSettings
from router.dispatch.wire.forms import form_parser
from router.dispatch.wire.multipart import Part
from router.errors import BodyTooLargeError, BodyTooSlowError
from router.listeners.server.body_budget import RETRY_AFTER_SECONDS, BodyBudget, BodyLease

BODIES = web.RequestKey("bodies", BodyBudget)
"""Where the listener leaves its budget for the handler."""

LEASE = web.RequestKey("lease", BodyLease)
"""Where a body that was read leaves its lease, which ends with the request."""

MAX_SMALL_BODY_BYTES = 64 * 1024
"""Orders and text queries."""

OFF_LOOP_BYTES = 1 << 20
"""Bodies from this size on are put together in a thread: a copy of 64 MB takes 50 ms."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was read.

    Attributes:
        parts: its fields by name.
        size: bytes of the body.
        body: the body as it came; None unless it was asked for.
    """

    parts: dict[str, Part]
    size: int
    body: bytes | None


async def read_form(request: web.Request, settings: ListenerSettings, *, keep_body: bool = False) -> Form:
    """The fields of a form, taken apart while it arrives.

    Args:
        request: with `Content-Type`.
        settings: the listener's limits.
        keep_body: whether the body is needed as it came, too.

    Raises:
        InvalidInputError: it is no form, it broke off, or it does not follow the grammar.
        BodyTooLargeError, BodyTooSlowError, OverloadedError: see `_read`.
    """
    parser = form_parser(request.headers.get("content-type", ""))
    kept: list[bytes] = []

    def take(piece: bytes) -> None:
        parser.feed(piece)
        if keep_body:
            kept.append(piece)

    size = await _read(request, settings, settings.max_body_bytes, take)

    def finish() -> Form:
        return Form(parser.finish(), size, b"".join(kept) if keep_body else None)

    return finish() if size < OFF_LOOP_BYTES else await asyncio.to_thread(finish)


async def read_small_body(request: web.Request, settings: ListenerSettings) -> bytes:
    """A body of at most 64 KiB. Raises as `read_form` does."""
    limit = min(settings.max_body_bytes, MAX_SMALL_BODY_BYTES)
    pieces: list[bytes] = []
    await _read(request, settings, limit, pieces.append)
    return b"".join(pieces)


async def _read(request: web.Request, settings: ListenerSettings, limit: int, take: Callable[[bytes], None]) -> int:
    """Hands the body on as it arrives; its size.

    Raises:
        BodyTooLargeError: it exceeds the limit; known from its header or found while reading.
        BodyTooSlowError: it did not arrive in time.
        OverloadedError: there was no room for it.
        InvalidInputError: it broke off, or is compressed: a small body could become a large one.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise InvalidInputError("send the body as it is, without Content-Encoding")
    if request.content_length is not None and request.content_length > limit:
        raise BodyTooLargeError(_too_large(limit))
    loop, seconds = asyncio.get_running_loop(), settings.body_timeout_seconds
    size = 0
    try:
        async with asyncio.timeout(seconds) as timer:
            lease = request[LEASE] = request[BODIES].open(lambda: timer.reschedule(loop.time()))
            while piece := await request.content.readany():
                size += len(piece)
                if size > limit:
                    raise BodyTooLargeError(_too_large(limit))
                await lease.take(len(piece))
                take(piece)
            lease.read()
            return size
    except TimeoutError as error:
        if lease.gave_way or lease.waiting:
            raise OverloadedError("other requests fill the memory: try again later", RETRY_AFTER_SECONDS) from error
        raise BodyTooSlowError(f"the body did not arrive within {seconds:g} s") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidInputError("the body broke off") from error


def _too_large(limit: int) -> str:
    return f"the body exceeds {limit} bytes: send a smaller one"
