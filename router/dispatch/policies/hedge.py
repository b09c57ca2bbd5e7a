"""Hedging: a second try when the first is slow, and the first answer wins. For text queries, where a person waits."""

import asyncio
from collections.abc import Callable

from router.dispatch.sending import Send, TaskCall
from router.domain.requests import CallStats
from router.domain.results import Result


def hedged(send: Send, delay_seconds: float, on_hedge: Callable[[], None]) -> Send:
    """`send`, and once more, elsewhere, when there is no answer after the delay.

    An error of one waits for the other; when both fail, the first's is raised. The loser is cancelled.
    """

    async def second(call: TaskCall) -> Result:
        on_hedge()
        return await send(call.with_context(avoid=frozenset({call.context.stats.endpoint}), stats=CallStats()))

    async def hedge(call: TaskCall) -> Result:
        tasks = [asyncio.create_task(send(call))]
        try:
            await asyncio.wait(tasks, timeout=delay_seconds)
            if not tasks[0].done():
                tasks.append(asyncio.create_task(second(call)))
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task.exception() is None:
                        return task.result()
            return tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return hedge
