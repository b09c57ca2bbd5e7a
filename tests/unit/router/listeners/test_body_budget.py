"""The memory that request bodies may take: who waits, who gives way, and that nothing is lost."""

import asyncio

import pytest

from mesh.core.errors import OverloadedError
from router.listeners.server.body_budget import MAX_WAITING, BodyBudget, BodyLease
from tests.doubles.upstream import settle


class Readers:
    """Bodies of a budget of 100 bytes; one that is told to end gives its bytes back, as a listener does."""

    def __init__(self) -> None:
        self.budget = BodyBudget(100)
        self.ended: list[BodyLease] = []

    def open(self) -> BodyLease:
        lease = self.budget.open(lambda: self._end(lease))
        return lease

    def _end(self, lease: BodyLease) -> None:
        self.ended.append(lease)
        asyncio.get_running_loop().call_soon(lease.release)


async def taken(lease: BodyLease, size: int) -> asyncio.Task[None]:
    task = asyncio.create_task(lease.take(size))
    await settle()
    return task


async def test_what_fits_does_not_wait() -> None:
    readers = Readers()
    first, second = readers.open(), readers.open()
    assert (await taken(first, 60)).done()
    assert (await taken(second, 40)).done()
    assert readers.budget.used == 100


async def test_a_newcomer_waits_for_bodies_that_are_being_answered() -> None:
    readers = Readers()
    first, second = readers.open(), readers.open()
    await taken(first, 80)
    first.read()
    waiting = await taken(second, 40)
    assert not waiting.done()
    assert readers.ended == []
    first.release()
    await settle()
    assert waiting.done()
    assert readers.budget.used == 40


async def test_the_largest_unfinished_body_gives_way_to_a_smaller_one() -> None:
    readers = Readers()
    large, larger, small = readers.open(), readers.open(), readers.open()
    await taken(large, 40)
    await taken(larger, 60)
    assert (await taken(small, 10)).done()
    assert readers.ended == [larger]
    assert readers.budget.used == 50


async def test_the_largest_itself_waits() -> None:
    readers = Readers()
    large, small = readers.open(), readers.open()
    await taken(large, 60)
    await taken(small, 30)
    waiting = await taken(large, 20)
    assert not waiting.done()
    assert readers.ended == []
    small.release()
    await settle()
    assert waiting.done()


async def test_one_gives_way_for_all_that_it_makes_room_for() -> None:
    readers = Readers()
    large, other = readers.open(), readers.open()
    await taken(large, 55)
    await taken(other, 45)
    waiting = [asyncio.create_task(readers.open().take(5)) for _ in range(5)]
    await settle()
    assert all(task.done() for task in waiting)
    assert readers.ended == [large]


async def test_who_stops_waiting_takes_nothing() -> None:
    readers = Readers()
    first, second, third = readers.open(), readers.open(), readers.open()
    await taken(first, 100)
    first.read()
    waiting, next_one = await taken(second, 90), await taken(third, 50)
    first.release()
    waiting.cancel()  # in the moment its room was found
    await settle()
    assert next_one.done()
    second.release()
    third.release()
    assert readers.budget.used == 0


async def test_waiting_is_bounded() -> None:
    readers = Readers()
    first = readers.open()
    await taken(first, 100)
    first.read()
    waiting = [asyncio.create_task(readers.open().take(10)) for _ in range(MAX_WAITING)]
    await settle()
    with pytest.raises(OverloadedError):
        await readers.open().take(10)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_is_given_back_twice_counts_once() -> None:
    readers = Readers()
    lease = readers.open()
    await taken(lease, 30)
    lease.release()
    lease.release()
    assert readers.budget.used == 0
