"""Queries go first, in whichever process; nobody waits for one that died, or for ever."""

import asyncio
import threading
from pathlib import Path

from mesh.serving.inference.compute import ComputePool, Priority
from mesh.serving.inference.precedence import HOLD_SECONDS, LONGEST_WAIT_SECONDS, Precedence


class Time:
    """A clock that sleeping moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def of(folder: Path | None, time: Time) -> Precedence:
    return Precedence(folder, clock=time.clock, sleep=time.sleep)


def waited(precedence: Precedence, time: Time) -> float:
    started = time.now
    precedence.give_way()
    return time.now - started


def test_bulk_runs_begin_at_once_without_a_query(tmp_path: Path) -> None:
    time = Time()
    assert waited(of(tmp_path, time), time) == 0


def test_bulk_runs_of_another_process_wait_while_a_query_is_answered(tmp_path: Path) -> None:
    time = Time()
    clip, ocr = of(tmp_path, time), of(tmp_path, time)
    with clip.query():
        with clip.query():
            pass
        assert waited(ocr, time) > 0  # the other query is still answered
    assert waited(ocr, time) == 0


def test_a_query_whose_process_died_holds_nobody_for_long(tmp_path: Path) -> None:
    time = Time()
    query = of(tmp_path, time).query()
    query.__enter__()
    assert HOLD_SECONDS <= waited(of(tmp_path, time), time) < HOLD_SECONDS + 0.01


def test_one_query_after_the_other_holds_bulk_runs_no_longer_than_the_bound(tmp_path: Path) -> None:
    time = Time()
    clip = of(tmp_path, time)
    queries = [clip.query()]
    queries[0].__enter__()

    def sleep_beside_queries(seconds: float) -> None:
        time.sleep(seconds)
        queries.append(clip.query())
        queries[-1].__enter__()

    ocr = Precedence(tmp_path, clock=time.clock, sleep=sleep_beside_queries)
    assert LONGEST_WAIT_SECONDS <= waited(ocr, time) < LONGEST_WAIT_SECONDS + 0.01


def test_another_machines_clock_in_a_shared_folder_holds_nobody(tmp_path: Path) -> None:
    query = of(tmp_path, Time(9e6)).query()
    query.__enter__()
    time = Time()
    assert waited(of(tmp_path, time), time) == 0


def test_a_folder_that_cannot_be_written_leaves_the_process_to_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    time = Time()
    precedence = of(tmp_path / "file", time)
    with precedence.query():
        assert waited(precedence, time) > 0


async def test_a_pools_bulk_work_begins_when_its_query_is_answered() -> None:
    pool, answered, order = ComputePool(1), threading.Event(), []
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def query() -> None:
        loop.call_soon_threadsafe(begun.set)
        answered.wait(HOLD_SECONDS / 5)
        order.append("query")

    interactive = asyncio.create_task(pool.run(query, Priority.INTERACTIVE))
    await begun.wait()
    await pool.run(lambda: order.append("photo"))
    await interactive
    assert order == ["query", "photo"]
    pool.close()
