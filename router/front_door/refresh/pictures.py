"""The pictures of a call that refreshes a video: JPEG or other photos, each after its length in four bytes, the highest
first. They are taken one by one as each is read, so that never more than one of them is in memory."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from mesh.core.errors import InvalidInputError
from router.errors import BodyTooSlowError

LENGTH_BYTES = 4
MAX_PICTURES = 32
MAX_PICTURE_BYTES = 8 << 20


async def pictures(request: web.Request, *, timeout_seconds: float) -> AsyncIterator[bytes]:
    """Each picture of the body.

    Args:
        request: the call.
        timeout_seconds: how long one picture may take to arrive.

    Raises:
        InvalidInputError: one is too large or broken off, or there are too many.
        BodyTooSlowError: one does not arrive in time.
    """
    for number in range(MAX_PICTURES + 1):
        try:
            async with asyncio.timeout(timeout_seconds):
                picture = await _next(request)
        except TimeoutError as error:
            raise BodyTooSlowError(f"a picture did not arrive within {timeout_seconds:g} s") from error
        except (asyncio.IncompleteReadError, web.RequestPayloadError, ConnectionError) as error:
            raise InvalidInputError("the pictures broke off") from error
        if picture is None:
            return
        if number == MAX_PICTURES:
            raise InvalidInputError(f"there are more than {MAX_PICTURES} pictures")
        yield picture


async def _next(request: web.Request) -> bytes | None:
    start = await request.content.read(1)
    if not start:
        return None
    size = int.from_bytes(start + await request.content.readexactly(LENGTH_BYTES - 1), "big")
    if not 0 < size <= MAX_PICTURE_BYTES:
        raise InvalidInputError(f"a picture is empty, or larger than {MAX_PICTURE_BYTES >> 20} MB")
    return await request.content.readexactly(size)
