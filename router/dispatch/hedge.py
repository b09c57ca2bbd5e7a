"""Hedging: a second try when the first is slow, and the first answer wins. For text queries, where a person waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def hedged(
    first: Coroutine[Any, Any, T], delay_seconds: float, second: Callable[[], Coroutine[Any, Any, T]]
) -> T:
    """The result of `first`, or of `second()` if that started after the delay and was faster.

    An error of one waits for the other; when both fail, the first's is raised. The loser is cancelled.
    """
    tasks = [asyncio.create_task(first)]
    try:
        await asyncio.wait(tasks, timeout=delay_seconds)
        if not tasks[0].done():
            tasks.append(asyncio.create_task(second()))
        return await _first_success(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first_success(tasks: list[asyncio.Task[T]]) -> T:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return task.result()
    return tasks[0].result()
