"""The threads of a service that do the work: as many as there are cores, so that runs never crowd each other out.

Photos are decoded, prepared and run on the bulk threads. They give way to queries (`precedence`), not to whatever
else the machine does: a low priority that holds against everything would starve photos beside a single busy process.
"""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TypeVar

from mesh.serving.inference.precedence import Precedence

T = TypeVar("T")

BULK_NICENESS = 5
"""Added to the niceness of bulk threads, for the runs that are under way when a query comes: beside the query's thread
each then has a third of its share, and beside a foreign process still a quarter of a core."""


class Lane(StrEnum):
    """Who waits for the result: a person (search) or a job (indexing)."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class ComputePool:
    """Threads for blocking work, by lane.

    Args:
        cores: runs that may go on side by side in each lane.
        precedence: of queries over bulk work; None for queries of this pool alone.
    """

    def __init__(self, cores: int, precedence: Precedence | None = None) -> None:
        self.cores = cores
        self._precedence = precedence or Precedence()
        self._under_way = dict.fromkeys(Lane, 0)
        self._executors = {
            Lane.BULK: ThreadPoolExecutor(cores, "bulk", initializer=_lower_priority),
            # One more than cores: a model that loads here must not keep a query waiting.
            Lane.INTERACTIVE: ThreadPoolExecutor(cores + 1, "interactive"),
        }

    async def run(self, work: Callable[[], T], lane: Lane = Lane.BULK) -> T:
        """The result of `work`, done on a thread of the lane with the caller's context (request id, deadline)."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        self._under_way[lane] += 1
        try:
            return await loop.run_in_executor(self._executors[lane], context.run, self._in_turn, work, lane)
        finally:
            self._under_way[lane] -= 1

    def _in_turn(self, work: Callable[[], T], lane: Lane) -> T:
        if lane is Lane.INTERACTIVE:
            with self._precedence.query():
                return work()
        self._precedence.give_way()
        return work()

    def idle(self, lane: Lane) -> bool:
        """Whether nothing runs or waits on the lane's threads, of whichever model and step."""
        return self._under_way[lane] == 0

    def call(self, work: Callable[[], T], lane: Lane) -> T:
        """As `run`, for a caller on a thread outside of that lane: blocks until the work is done.

        A thread inherits the niceness of the one that starts it; so sessions that start threads are made on their lane.
        """
        return self._executors[lane].submit(work).result()

    def close(self) -> None:
        """Lets running work finish and drops what waits."""
        for executor in self._executors.values():
            executor.shutdown(wait=True, cancel_futures=True)


def _lower_priority() -> None:
    if hasattr(os, "setpriority"):  # on Linux a thread has a niceness of its own
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + BULK_NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(19, niceness))
