"""Memory for photos: one number of bytes for a whole service, taken before a photo is decoded and given back after.

Sixteen places say nothing about sixteen photos of half a gigabyte each. First come, first served: a large photo is not
overtaken for ever by small ones.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.core import context
from mesh.core.errors import DeadlineExceededError
from mesh.core.stages import QUEUE, stage
from mesh.serving import metrics


class PhotoBudget:
    """Bytes that photos under way may take together.

    Args:
        total_bytes: all there are.
        service: label of the gauge that shows how many are taken.
    """

    def __init__(self, total_bytes: int, service: str) -> None:
        self.total_bytes = total_bytes
        self.taken_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._gauge = metrics.PHOTO_MEMORY_BYTES.labels(service)

    @asynccontextmanager
    async def reserve(self, needed: int) -> AsyncIterator[None]:
        """Waits until `needed` bytes are free and holds them while the block runs; at most all there are.

        Raises:
            DeadlineExceededError: the request's deadline passed while waiting.
        """
        with stage(QUEUE):
            await self._take(min(needed, self.total_bytes))
        try:
            yield
        finally:
            self._give(min(needed, self.total_bytes))

    async def _take(self, needed: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((needed, turn))
        self._admit()
        try:
            async with asyncio.timeout(context.remaining_seconds()):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give(needed)  # it came in the moment in which nobody waited for it any more
            else:
                turn.cancel()
                self._admit()
            if isinstance(error, TimeoutError):
                raise DeadlineExceededError("the deadline passed while waiting for memory for the photo") from None
            raise

    def _give(self, bytes_back: int) -> None:
        self.taken_bytes -= bytes_back
        self._admit()

    def _admit(self) -> None:
        """Lets those in whose turn it is, as far as the bytes go; forgets those who left."""
        while self._waiting:
            needed, turn = self._waiting[0]
            if not turn.cancelled():
                if self.taken_bytes + needed > self.total_bytes:
                    break
                self.taken_bytes += needed
                turn.set_result(None)
            self._waiting.popleft()
        self._gauge.set(self.taken_bytes)
