"""Services on the same cores share them; one that works alone has them all."""

import asyncio
import threading
from pathlib import Path

from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.traffic import Traffic
from tests.waiting import PATIENCE_SECONDS

CORES = 4


class Work:
    """Blocks until it is let go; knows how much of it is under way."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self) -> None:
        self.begun.release()
        assert self.go.wait(PATIENCE_SECONDS)

    def begins(self) -> bool:
        return self.begun.acquire(timeout=PATIENCE_SECONDS)

    def more_begin(self) -> bool:
        return self.begun.acquire(timeout=0.05)


async def test_a_service_alone_uses_every_core(tmp_path: Path) -> None:
    pool, work = ComputePool(CORES, traffic=Traffic(tmp_path), shared=True), Work()
    runs = [asyncio.create_task(pool.run(work)) for _ in range(2 * CORES)]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lambda: all(work.begins() for _ in range(CORES)))
    work.go.set()
    await asyncio.gather(*runs)
    pool.close()


async def test_beside_another_with_as_much_to_do_a_service_uses_half(tmp_path: Path) -> None:
    other = Traffic(tmp_path, draw=lambda slots: 0)
    traffic = Traffic(tmp_path, draw=lambda slots: 1)
    pool, work = ComputePool(CORES, traffic=traffic, shared=True), Work()
    with other.photo():
        other.has_work(2 * CORES)
        runs = [asyncio.create_task(pool.run(work)) for _ in range(2 * CORES)]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(lambda: all(work.begins() for _ in range(CORES // 2)))
        assert not await asyncio.to_thread(work.more_begin)
        work.go.set()
        await asyncio.gather(*runs)
    pool.close()


async def test_a_container_with_cores_of_its_own_shares_none(tmp_path: Path) -> None:
    other = Traffic(tmp_path, draw=lambda slots: 0)
    pool, work = ComputePool(CORES, traffic=Traffic(tmp_path, draw=lambda slots: 1)), Work()
    with other.photo():
        other.has_work(2 * CORES)
        runs = [asyncio.create_task(pool.run(work)) for _ in range(CORES)]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(lambda: all(work.begins() for _ in range(CORES)))
        work.go.set()
        await asyncio.gather(*runs)
    pool.close()
