"""So many photos inside, the rest outside in order; refused at once when there are too many, dropped when too late."""

import asyncio
import time

import pytest

from mesh.core import context
from mesh.core.errors import DeadlineExceededError, OverloadedError
from mesh.core.settings import BatchingSettings, Device
from mesh.serving.gate import PHOTOS_PER_CORE, Gate
from mesh.serving.inference.traffic import Traffic
from mesh.serving.runtimes.session import RuntimeSettings


class Visitor:
    """Enters, waits to be sent home, and notes its name when it gets in."""

    def __init__(self, gate: Gate, name: str, log: list[str]) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate, name, log))

    async def _visit(self, gate: Gate, name: str, log: list[str]) -> None:
        async with gate.enter():
            log.append(name)
            await self.leave.wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    gate = Gate(places=2, max_waiting=10)
    log: list[str] = []
    visitors = [Visitor(gate, name, log) for name in "abcd"]
    await settle()
    assert log == ["a", "b"]
    visitors[1].leave.set()
    await settle()
    assert log == ["a", "b", "c"]
    for visitor in visitors:
        visitor.leave.set()
    await asyncio.gather(*(visitor.task for visitor in visitors))
    assert log == ["a", "b", "c", "d"]


async def test_too_many_waiting_are_refused_at_once() -> None:
    gate = Gate(places=1, max_waiting=1)
    log: list[str] = []
    visitors = [Visitor(gate, name, log) for name in "ab"]
    await settle()
    with pytest.raises(OverloadedError, match="1 photos are waiting"):
        async with gate.enter():
            pass
    for visitor in visitors:
        visitor.leave.set()
    await asyncio.gather(*(visitor.task for visitor in visitors))
    async with gate.enter():
        pass


async def test_deadline_passes_outside() -> None:
    gate = Gate(places=1, max_waiting=5)
    log: list[str] = []
    first = Visitor(gate, "a", log)
    await settle()
    context.deadline.set(time.monotonic())
    with pytest.raises(DeadlineExceededError, match="waiting for other photos"):
        async with gate.enter():
            pass
    context.deadline.set(None)
    first.leave.set()
    await first.task
    async with gate.enter():
        pass


async def test_who_leaves_the_queue_or_fails_inside_takes_no_place_along() -> None:
    gate = Gate(places=1, max_waiting=5)
    log: list[str] = []
    visitors = [Visitor(gate, name, log) for name in "abc"]
    await settle()
    visitors[1].task.cancel()
    await settle()
    visitors[0].task.cancel()
    await settle()
    assert log == ["a", "c"]
    visitors[2].leave.set()
    await visitors[2].task
    with pytest.raises(ZeroDivisionError):
        async with gate.enter():
            raise ZeroDivisionError
    async with gate.enter():
        pass


def test_places_keep_the_device_busy() -> None:
    assert Gate.of(RuntimeSettings(cores=3), Traffic()).places == 3 * PHOTOS_PER_CORE
    assert Gate.of(RuntimeSettings(device=Device.CUDA), Traffic()).places >= 32


def test_who_is_inside_fits_a_models_queue() -> None:
    assert Gate.of(RuntimeSettings(cores=3, batching=BatchingSettings(max_queue_size=7)), Traffic()).places == 7
