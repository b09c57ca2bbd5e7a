"""Single flight: identical requests under way share one call."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from mesh.core.errors import DeadlineExceededError
from router.dispatch.sending import Send, TaskCall
from router.domain.requests import CallStats
from router.domain.results import Result

_ENDS = 64


@dataclass(slots=True, eq=False)
class _Flight:
    data: bytes
    stats: CallStats
    task: asyncio.Task[Result]
    waiters: int = 0


class SingleFlight:
    """The calls under way, by what they ask.

    Payloads are found by length and ends and then compared whole, which costs nothing until two requests look alike:
    the sharpest content hash there is.

    Args:
        now: the clock of deadlines.
        on_shared: told of every call that was answered by another's.
    """

    def __init__(self, now: Callable[[], float], on_shared: Callable[[TaskCall], None]) -> None:
        self._now = now
        self._on_shared = on_shared
        self._flights: dict[Hashable, _Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def send(self, call: TaskCall, send: Send) -> Result:
        """The result of `send(call)`, or of a call under way that asks the same of the same bytes.

        A caller that leaves takes nothing from the others; the last one to leave cancels the call. A caller with more
        time than the one it joined goes on by itself when that one's is over.
        """
        data, stats = call.content.data, call.context.stats
        key = (call.key, len(data), data[:_ENDS], data[-_ENDS:])
        while True:
            flight = self._flights.get(key)
            if flight is not None and flight.data != data:
                return await send(call)
            joined = flight is not None
            if flight is None:
                flight = self._begin(key, call, send)
            flight.waiters += 1
            try:
                result = await asyncio.shield(flight.task)
                if joined:
                    stats.shared = True
                    stats.cluster, stats.endpoint = flight.stats.cluster, flight.stats.endpoint
                    self._on_shared(call)
                return result
            except DeadlineExceededError:
                if not joined or self._now() >= call.context.deadline:
                    raise
            finally:
                flight.waiters -= 1
                if not flight.waiters and not flight.task.done():
                    flight.task.cancel()
                del flight  # an error's traceback holds this frame, and the flight holds the error

    def _begin(self, key: Hashable, call: TaskCall, send: Send) -> _Flight:
        task = asyncio.create_task(send(call))
        flight = self._flights[key] = _Flight(call.content.data, call.context.stats, task)
        task.add_done_callback(lambda _: self._end(key, flight))
        return flight

    def _end(self, key: Hashable, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
