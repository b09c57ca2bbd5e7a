"""The door of a pipeline: so many photos are under way at once, the rest wait outside in order.

A waiting photo costs its encoded bytes, one under way its pixels and tensors: a hundred times more. The gate keeps a
service's memory flat under any backlog, and refuses what would wait too long before any work is put into it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.core import context
from mesh.core.errors import DeadlineExceededError, OverloadedError
from mesh.core.stages import QUEUE, stage
from mesh.serving.inference.engine import GPU_BATCH_SIZE
from mesh.serving.inference.traffic import Traffic
from mesh.serving.runtimes.session import RuntimeSettings

PHOTOS_PER_CORE = 4
"""Enough that a core never waits for a photo to be decoded while others are being inferred."""


class Gate:
    """Counts who is inside; first come, first served.

    Args:
        places: how many may be inside at once.
        max_waiting: how many may wait; one more is refused.
        traffic: hears of those inside.
    """

    def __init__(self, places: int, max_waiting: int, traffic: Traffic | None = None) -> None:
        self.places = places
        self._max_waiting = max_waiting
        self._traffic = traffic or Traffic()
        self._waiting = 0
        self._semaphore = asyncio.Semaphore(places)

    @classmethod
    def of(cls, runtime: RuntimeSettings, traffic: Traffic) -> "Gate":
        """As many places as keep the device busy, if a model's queue takes so many; outside, that queue's size."""
        places = PHOTOS_PER_CORE * runtime.cores if runtime.device.is_processor else 2 * GPU_BATCH_SIZE
        return cls(min(places, runtime.batching.max_queue_size), runtime.batching.max_queue_size, traffic)

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Waits for a place and holds it while the block runs.

        Raises:
            OverloadedError: too many wait already.
            DeadlineExceededError: the request's deadline passed while waiting.
        """
        if self._waiting >= self._max_waiting:
            raise OverloadedError(f"{self._waiting} photos are waiting already: try again later")
        self._waiting += 1
        try:
            with stage(QUEUE):
                async with asyncio.timeout(context.remaining_seconds()):
                    await self._semaphore.acquire()
        except TimeoutError:
            raise DeadlineExceededError("the deadline passed while waiting for other photos") from None
        finally:
            self._waiting -= 1
        try:
            with self._traffic.photo():
                yield
        finally:
            self._semaphore.release()
