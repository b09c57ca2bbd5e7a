"""Identical requests in flight share one call."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from mesh.core.errors import DeadlineExceededError
from router.upstream.calls import CallStats, Content
from router.upstream.timing import Timing

T = TypeVar("T")

_ENDS = 64


@dataclass(slots=True, eq=False)
class _Flight:
    content: Content
    deadline: float
    trail: CallStats
    task: asyncio.Task[Any]
    waiters: int = 0


class SingleFlight:
    """The calls under way, by what they ask.

    Payloads are found by length and ends and then compared whole, which costs nothing until two requests look alike:
    the sharpest content hash there is.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._flights: dict[Hashable, _Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def run(
        self,
        asked: Hashable,
        content: Content,
        deadline: float,
        trail: CallStats,
        start: Callable[[], Coroutine[Any, Any, T]],
    ) -> T:
        """The result of `start()`, or of a call under way that asks the same of the same bytes.

        A caller that leaves takes nothing from the others; the last one to leave cancels the call. A caller with more
        time than the one it joined goes on by itself when that one's is over.
        """
        data = content.data
        key = (asked, len(data), data[:_ENDS], data[-_ENDS:])
        while True:
            flight = self._flights.get(key)
            if flight is not None and flight.content.data != data:
                return await start()
            if flight is None:
                result: T = await self._join(self._begin(key, content, deadline, trail, start), None)
                return result
            try:
                result = await self._join(flight, trail)
            except DeadlineExceededError:
                if self._timing.now() >= deadline:
                    raise
                continue
            finally:
                del flight  # an error's traceback holds this frame, and the flight holds the error
            return result

    def _begin(
        self,
        key: Hashable,
        content: Content,
        deadline: float,
        trail: CallStats,
        start: Callable[[], Coroutine[Any, Any, T]],
    ) -> _Flight:
        task = asyncio.create_task(start())
        flight = self._flights[key] = _Flight(content, deadline, trail, task)
        task.add_done_callback(lambda _: self._end(key, flight))
        return flight

    def _end(self, key: Hashable, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _join(self, flight: _Flight, trail: CallStats | None) -> Any:
        """The flight's result; `trail` is that of one who joins it later."""
        flight.waiters += 1
        try:
            result = await asyncio.shield(flight.task)
            if trail is not None:
                trail.shared = True
                trail.cluster, trail.endpoint = flight.trail.cluster, flight.trail.endpoint
            return result
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                flight.task.cancel()
            del flight
