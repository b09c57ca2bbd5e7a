"""Services on the same cores share them; one that works alone has them all; a query comes before a photo."""

import asyncio
import threading
from pathlib import Path

from mesh.serving.inference.compute import ComputePool, Priority
from mesh.serving.inference.traffic import Traffic
from mesh.serving.runtimes.session import InterruptedRunError, Interruption
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


async def test_a_query_ends_the_run_of_a_photo_which_begins_anew_when_it_is_answered() -> None:
    pool, ended, order = ComputePool(1), threading.Event(), list[str]()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def photo(interruption: Interruption) -> None:
        order.append("photo begins")
        with interruption.may_end(ended.set):
            loop.call_soon_threadsafe(begun.set)
            if len(order) == 1:
                assert ended.wait(PATIENCE_SECONDS)
                raise InterruptedRunError

    def query() -> None:
        assert ended.wait(PATIENCE_SECONDS)
        order.append("query answered")

    run = asyncio.create_task(pool.run_graph(photo))
    await begun.wait()
    await pool.run(query, Priority.INTERACTIVE)
    await run
    assert order == ["photo begins", "query answered", "photo begins"]
    await asyncio.to_thread(pool.close)
