"""Calls that are worked on alone."""

import asyncio

from mesh.serving.exclusivity import Exclusivity


class Bystanders:
    """Who is inside, and the company that each one had."""

    def __init__(self, limit_seconds: float = 30) -> None:
        self.exclusivity = Exclusivity(limit_seconds)
        self.inside: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    def begin(self, name: str, *, exclusive: bool = False) -> "asyncio.Task[None]":
        return asyncio.create_task(self._work(name, exclusive))

    async def _work(self, name: str, exclusive: bool) -> None:
        end = self.ends.setdefault(name, asyncio.Event())
        async with self.exclusivity.enter(exclusive=exclusive):
            self.inside.append(name)
            try:
                await end.wait()
            finally:
                self.inside.remove(name)

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_an_exclusive_call_waits_for_others_and_others_wait_for_it() -> None:
    room = Bystanders()
    first, alone = room.begin("first"), room.begin("alone", exclusive=True)
    await room.settle()
    late = room.begin("late")
    await room.settle()
    assert room.inside == ["first"]
    room.ends["first"].set()
    await room.settle()
    assert room.inside == ["alone"]
    room.ends["alone"].set()
    await room.settle()
    assert room.inside == ["late"]
    room.ends["late"].set()
    await asyncio.gather(first, alone, late)


async def test_several_exclusive_calls_come_one_by_one_and_let_others_in_between() -> None:
    room = Bystanders()
    tasks = [room.begin("one", exclusive=True), room.begin("two", exclusive=True), room.begin("other")]
    await room.settle()
    assert room.inside == ["one"]
    room.ends["one"].set()
    await room.settle()
    assert room.inside == ["other"]
    room.ends["other"].set()
    await room.settle()
    assert room.inside == ["two"]
    room.ends["two"].set()
    await asyncio.gather(*tasks)


async def test_those_who_leave_while_they_wait_block_nobody() -> None:
    room = Bystanders()
    first, alone, second = (
        room.begin("first"),
        room.begin("alone", exclusive=True),
        room.begin("second", exclusive=True),
    )
    await room.settle()
    for task in (alone, second):
        task.cancel()
    await asyncio.gather(alone, second, return_exceptions=True)
    other = room.begin("other")
    await room.settle()
    assert room.inside == ["first", "other"]
    for name in ("first", "other"):
        room.ends[name].set()
    await asyncio.gather(first, other)


async def test_after_its_time_others_are_let_in() -> None:
    room = Bystanders(limit_seconds=0)
    alone, other = room.begin("alone", exclusive=True), room.begin("other")
    async with asyncio.timeout(10):
        while room.inside != ["alone", "other"]:  # noqa: ASYNC110 - a timer of the loop decides when
            await asyncio.sleep(0)
    for name in ("alone", "other"):
        room.ends[name].set()
    await asyncio.gather(alone, other)
