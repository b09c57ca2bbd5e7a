"""Identical requests in flight share one call."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from common.errors import DeadlineExceeded
from router.upstream.calls import Content, Trail
from router.upstream.timing import Timing

T = TypeVar("T")

_ENDS = 64


@dataclass(slots=True, eq=False)
class _Flight:
    content: Content
    deadline: float
    trail: Trail
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
        trail: Trail,
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
            joined = flight is not None
            if flight is None:
                flight = self._begin(key, content, deadline, trail, start)
            try:
                result: T = await self._join(flight)
            except DeadlineExceeded:
                if not joined or self._timing.now() >= deadline:
                    raise
                continue
            if joined:
                trail.shared = True
                trail.cluster, trail.endpoint = flight.trail.cluster, flight.trail.endpoint
            return result

    def _begin(
        self,
        key: Hashable,
        content: Content,
        deadline: float,
        trail: Trail,
        start: Callable[[], Coroutine[Any, Any, T]],
    ) -> _Flight:
        task = asyncio.create_task(start())
        flight = self._flights[key] = _Flight(content, deadline, trail, task)
        task.add_done_callback(lambda _: self._end(key, flight))
        return flight

    def _end(self, key: Hashable, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _join(self, flight: _Flight) -> Any:
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                flight.task.cancel()
