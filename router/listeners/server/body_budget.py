"""The memory that a listener's request bodies may take: counted from their first byte until they are answered.

Room that is taken makes newcomers wait, unread, so that TCP holds their senders back. Where bodies half read fill it,
the largest of them gives way to a smaller one: otherwise a few slow senders would keep everybody out.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mesh.core.errors import OverloadedError

MAX_WAITING = 256
"""Bodies that may wait for room; one more is refused at once."""

RETRY_AFTER_SECONDS = 5.0


@dataclass(slots=True)
class _Waiter:
    size: int
    room: asyncio.Future[None]


class BodyLease:
    """One body's part of the budget.

    Attributes:
        size: bytes taken.
        waiting: whether it waits for room, or waited in vain.
        gave_way: whether it was told to end.
    """

    def __init__(self, budget: "BodyBudget", give_way: Callable[[], None]) -> None:
        self.size = 0
        self.waiting = False
        self.gave_way = False
        self._budget = budget
        self._give_way = give_way

    async def take(self, size: int) -> None:
        """Room for so many bytes more; waits for it. Raises OverloadedError: too many wait already."""
        await self._budget.take(self, size)

    def read(self) -> None:
        """The body is there as a whole: it no longer gives way."""
        self._budget.reading.discard(self)

    def release(self) -> None:
        """Gives everything back. May be called again."""
        self._budget.release(self)

    def end(self) -> None:
        """Makes the reader of this body end."""
        self.gave_way = True
        self._give_way()


class BodyBudget:
    """The budget of one listener.

    Args:
        limit_bytes: of all bodies together.

    Attributes:
        used: bytes taken.
        reading: the bodies that are not complete and may be told to give way.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.used = 0
        self.reading: set[BodyLease] = set()
        self._limit = limit_bytes
        self._waiters: deque[_Waiter] = deque()
        self._leaving = 0

    def open(self, give_way: Callable[[], None]) -> BodyLease:
        """A lease without any bytes yet; `give_way` is called when its reader is to end and release it."""
        lease = BodyLease(self, give_way)
        self.reading.add(lease)
        return lease

    async def take(self, lease: BodyLease, size: int) -> None:
        """See `BodyLease.take`."""
        if self._waiters or self.used + size > self._limit:
            await self._wait(lease, size)
        else:
            self.used += size
        lease.size += size

    def release(self, lease: BodyLease) -> None:
        """See `BodyLease.release`."""
        self.reading.discard(lease)
        self.used -= lease.size
        if lease.gave_way:
            self._leaving -= lease.size
        lease.size, lease.gave_way = 0, False
        self._admit()

    async def _wait(self, lease: BodyLease, size: int) -> None:
        if len(self._waiters) >= MAX_WAITING:
            raise OverloadedError("too many requests are being read: try again later", RETRY_AFTER_SECONDS)
        self._make_room(lease, size)
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        lease.waiting = True
        try:
            await waiter.room
            lease.waiting = False
        except asyncio.CancelledError:
            if waiter.room.done() and not waiter.room.cancelled():
                self.used -= size  # the room came in the moment of leaving
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            self._admit()

    def _make_room(self, lease: BodyLease, size: int) -> None:
        """Ends the largest unfinished body, if it is larger than this one and nobody is leaving already."""
        wanted = size + sum(waiter.size for waiter in self._waiters)
        if self.used - self._leaving + wanted <= self._limit:
            return
        largest = max(self.reading, key=lambda other: other.size)
        if largest.size > lease.size + size:
            self.reading.discard(largest)
            self._leaving += largest.size
            largest.end()

    def _admit(self) -> None:
        while self._waiters:
            waiter = self._waiters[0]
            if not waiter.room.done():
                if self.used + waiter.size > self._limit:
                    return
                self.used += waiter.size
                waiter.room.set_result(None)
            self._waiters.popleft()
