"""How long a test waits for an event: one bound for all, so generous that only a hang reaches it.

Nothing here judges speed. A test that is about time injects its clock, or asserts on what was done instead.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""Reached by nothing but a hang, also beside twenty busy processes on two cores. pytest's own limit is above it."""
_POLL_SECONDS = 0.005


async def until(condition: Callable[[], T], what: str = "") -> T:
    """The first true value of a condition that something outside of this task brings about. Raises TimeoutError."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (value := condition()):  # noqa: ASYNC110 - polled from outside
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise TimeoutError(what or "it never became true") from None
    return value


def wait_until(condition: Callable[[], T], what: str = "", alive: Callable[[], bool] = lambda: True) -> T:
    """The same for tests without a loop. `alive` ends the wait early: nothing will come of a process that has ended."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        if not alive() or time.monotonic() > end:
            raise TimeoutError(what or "it never became true")
        time.sleep(_POLL_SECONDS)
    return value
