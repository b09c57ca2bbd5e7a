"""One number of bytes for all photos: in turn, none lost, nothing kept by those who leave."""

import asyncio
import time

import pytest

from mesh.core import context
from mesh.core.errors import DeadlineExceededError
from mesh.serving.budget import PhotoBudget


class Holder:
    """Takes bytes until it is told to leave."""

    def __init__(self, budget: PhotoBudget, needed: int) -> None:
        self.inside = False
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._hold(budget, needed))

    async def _hold(self, budget: PhotoBudget, needed: int) -> None:
        async with budget.reserve(needed):
            self.inside = True
            await self.leave.wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_large_photo_waits_for_its_bytes_and_is_not_overtaken() -> None:
    budget = PhotoBudget(100, "ocr")
    holders = [Holder(budget, needed) for needed in (60, 80, 10)]
    await settle()
    assert [holder.inside for holder in holders] == [True, False, False]
    holders[0].leave.set()
    await settle()
    assert [holder.inside for holder in holders] == [True, True, True]
    assert budget.taken_bytes == 90
    for holder in holders:
        holder.leave.set()
        await holder.task
    assert budget.taken_bytes == 0


async def test_who_leaves_while_waiting_lets_the_next_one_in() -> None:
    budget = PhotoBudget(100, "ocr")
    holders = [Holder(budget, needed) for needed in (60, 80, 10)]
    await settle()
    holders[1].task.cancel()
    await settle()
    assert [holder.inside for holder in holders] == [True, False, True]
    assert budget.taken_bytes == 70


async def test_who_leaves_in_the_moment_of_their_turn_takes_no_bytes_along() -> None:
    budget = PhotoBudget(100, "ocr")
    first, second = Holder(budget, 100), Holder(budget, 100)
    await settle()
    first.leave.set()
    await first.task  # the second has its turn now, and has not run yet
    second.task.cancel()
    await settle()
    assert budget.taken_bytes == 0
    third = Holder(budget, 100)
    await settle()
    assert third.inside
    third.leave.set()
    await third.task


async def test_a_deadline_passes_while_waiting() -> None:
    budget = PhotoBudget(100, "ocr")
    first = Holder(budget, 100)
    await settle()
    context.deadline.set(time.monotonic())
    with pytest.raises(DeadlineExceededError, match="waiting for memory"):
        async with budget.reserve(1):
            pass
    context.deadline.set(None)
    first.leave.set()
    await first.task
    assert budget.taken_bytes == 0
