"""Calls that are worked on alone: what a router asks for a payload during whose call a process died.

Whoever caused the death is known for certain only when nobody else was there. An exclusive call waits until those under
way are done; those that come meanwhile wait for its end, at most `EXCLUSIVE_SECONDS`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.core.rpc.status import EXCLUSIVE_SECONDS


class Exclusivity:
    """Counts the calls under way in one process."""

    def __init__(self, limit_seconds: float = EXCLUSIVE_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._running = 0
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def enter(self, *, exclusive: bool) -> AsyncIterator[None]:
        """Waits until the call may be worked on, and counts it while the block runs."""
        if exclusive:
            async with self._turn, self._alone():
                yield
            return
        while not self._open.is_set():
            await self._open.wait()
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        self._open.clear()
        timer: asyncio.TimerHandle | None = None
        try:
            await self._idle.wait()
            timer = asyncio.get_running_loop().call_later(self._limit_seconds, self._open.set)
            yield
        finally:
            if timer is not None:
                timer.cancel()
            self._open.set()
