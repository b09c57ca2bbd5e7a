"""Bodies in and out of handlers: read within the listener's limits, written as JSON."""

import asyncio

from aiohttp import web

from mesh.core.errors import InvalidInputError
from router.config import ListenerSettings
from router.domain.requests import PredictRequest
from router.errors import BodyTooLargeError, BodyTooSlowError

PREDICT = web.RequestKey("predict", PredictRequest)
"""Where a handler leaves what it made of its request, for metrics and the access line."""


async def read_body(request: web.Request, settings: ListenerSettings) -> bytes:
    """The whole body.

    Raises:
        BodyTooLargeError: it exceeds the listener's limit; known from its header or found while reading.
        BodyTooSlowError: it did not arrive in time.
        InvalidInputError: it broke off or cannot be decoded.
    """
    limit = settings.max_body_bytes
    if request.content_length is not None and request.content_length > limit:
        raise BodyTooLargeError(_too_large(limit))
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > limit:
                    raise BodyTooLargeError(_too_large(limit))
                chunks.append(chunk)
    except TimeoutError as error:
        raise BodyTooSlowError(f"the body did not arrive within {settings.body_timeout_seconds:g} s") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidInputError(f"the body broke off or cannot be decoded: {error}") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> str:
    return f"the body exceeds {limit} bytes: send a smaller photo"


def json_response(body: bytes, status: int = 200) -> web.Response:
    """An answer of serialised JSON."""
    return web.Response(body=body, status=status, content_type="application/json")
