"""Requests that wait for an endpoint: first in, first out for each lane, bounded in number and bytes.

Immich drops a job for good when it sees an error, so waiting is what happens instead of one: while a service restarts,
is saturated or moves. Every kind of turn has its queue: what stops retries does not stop first tries.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mesh.core.errors import OverloadedError
from router.config import CircuitBreakerSettings
from router.domain.tasks import Lane
from router.upstream.calls import Call, Turn
from router.upstream.endpoints.endpoint import Endpoint

# Text first. Within a lane those first that have waited longer.
QUEUE_ORDER = tuple(
    (lane, turn) for lane in (Lane.TEXT, Lane.IMAGE) for turn in (Turn.PROBATION, Turn.RETRY, Turn.FIRST)
)


class QueueFullError(OverloadedError):
    """Too many requests wait already."""


@dataclass(slots=True, eq=False)
class Waiter:
    """One waiting request. Its future gets the endpoint, with a place there already taken."""

    call: Call
    turn: Turn
    avoid: set[str]
    future: asyncio.Future[Endpoint]

    def fail(self, error: Exception) -> None:
        """Ends the wait with an error, unless it has ended."""
        if not self.future.done():
            self.future.set_exception(error)


class PendingQueue:
    """The waiting requests of one cluster. `now` is the clock."""

    def __init__(self, cluster: str, limits: CircuitBreakerSettings, now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._limits = limits
        self._now = now
        # Dictionaries as queues: ordered, and a request that leaves early is removed at once.
        self._queues: dict[tuple[Lane, Turn], dict[Waiter, None]] = {key: {} for key in QUEUE_ORDER}
        self._pending: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._since: dict[object, float] = {}
        self._bytes: dict[Lane, int] = dict.fromkeys(Lane, 0)

    def pending(self, lane: Lane) -> int:
        """Requests of the lane that wait."""
        return self._pending[lane]

    @property
    def pending_bytes(self) -> int:
        """Bytes of all requests that wait."""
        return sum(self._bytes.values())

    @property
    def longest_wait_seconds(self) -> float:
        """How long the one that has waited longest has done so; 0 while nobody waits."""
        oldest = next(iter(self._since.values()), None)  # in the order in which they came
        return 0.0 if oldest is None else self._now() - oldest

    def waiting(self, lane: Lane, turn: Turn) -> bool:
        """Whether somebody is in front of a newcomer."""
        return bool(self._queues[lane, turn])

    @contextmanager
    def account(self, call: Call) -> Iterator[None]:
        """Counts a request as waiting. Raises QueueFullError when there is no room."""
        lane, size = call.lane, len(call.content.data)
        if self._pending[lane] >= self._limits.max_pending_requests:
            raise QueueFullError(
                f"{self._pending[lane]} requests wait for cluster {self._cluster} already: try again later", 5.0
            )
        if self._bytes[lane] + size > self._limits.max_pending_bytes:
            raise QueueFullError(
                f"the requests that wait for cluster {self._cluster} fill its memory limit: try again later", 5.0
            )
        token = object()
        self._since[token] = self._now()
        self._pending[lane] += 1
        self._bytes[lane] += size
        try:
            yield
        finally:
            del self._since[token]
            self._pending[lane] -= 1
            self._bytes[lane] -= size

    def put(self, waiter: Waiter) -> None:
        """Queues up."""
        self._queues[waiter.call.lane, waiter.turn][waiter] = None

    def remove(self, waiter: Waiter) -> None:
        """Leaves the queue, wherever in it."""
        self._queues[waiter.call.lane, waiter.turn].pop(waiter, None)

    def first(self, lane: Lane, turn: Turn) -> Waiter | None:
        """The one whose turn is next."""
        return next(iter(self._queues[lane, turn]), None)

    def waiters(self) -> list[Waiter]:
        """Everybody who waits."""
        return [waiter for queue in self._queues.values() for waiter in queue]
