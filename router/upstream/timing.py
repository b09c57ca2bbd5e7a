"""The clock and the timers of everything upstream, behind a seam so that tests can move time by hand."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A callback that is to come."""

    def cancel(self) -> None:
        """Forgets the callback."""


class Timing(Protocol):
    """What upstream asks about time."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward (`time.monotonic()`'s)."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Calls back after `delay` seconds on the event loop."""

    async def sleep(self, delay: float) -> None:
        """Waits `delay` seconds."""


class LoopTiming:
    """The running event loop's time."""

    def now(self) -> float:
        """`time.monotonic()`."""
        return time.monotonic()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """A timer of the running loop."""
        return asyncio.get_running_loop().call_later(delay, callback)

    async def sleep(self, delay: float) -> None:
        """`asyncio.sleep`."""
        await asyncio.sleep(delay)
