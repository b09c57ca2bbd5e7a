"""Both sides of a hybrid search, asked at the same time."""

import asyncio

import pytest

from mesh.core.errors import UnavailableError
from sql.repository import _both


async def fail(ready: asyncio.Event | None = None) -> None:
    try:
        if ready is not None:
            ready.set()
            await asyncio.Event().wait()
    finally:
        raise UnavailableError("away") from OSError("no route")


async def test_a_failure_keeps_its_cause() -> None:
    with pytest.raises(UnavailableError, match="away") as failed:
        await _both(fail(), asyncio.Event().wait())
    assert isinstance(failed.value.__cause__, OSError)


async def test_a_cancelled_search_stays_cancelled_when_a_side_fails_on_its_way_out() -> None:
    ready = asyncio.Event()
    task = asyncio.create_task(_both(fail(ready), asyncio.Event().wait()))
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
