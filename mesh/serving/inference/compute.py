"""The threads of a service that do the work: as many as there are cores, so that runs never crowd each other out.

Photos are decoded, prepared and run on the bulk threads, which are nice: the system gives way to the interactive ones
(search queries), whichever process of the mesh they belong to.
"""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

BULK_NICENESS = 19
"""Added to the niceness of bulk threads: the most there is. Beside a query's thread each then gets a seventieth of its
share. A query that meets photos of all three services took 104 ms at 10, 69 ms at 19, and 60 ms with no photo about.
Containers and units of systemd have their shares among each other, whatever the niceness inside."""


class Lane(StrEnum):
    """Who waits for the result: a person (search) or a job (indexing)."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class ComputePool:
    """Threads for blocking work, by lane.

    Args:
        cores: runs that may go on side by side in each lane.
    """

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._under_way = dict.fromkeys(Lane, 0)
        self._executors = {
            Lane.BULK: ThreadPoolExecutor(cores, "bulk", initializer=_be_nice),
            # One more than cores: a model that loads here must not keep a query waiting.
            Lane.INTERACTIVE: ThreadPoolExecutor(cores + 1, "interactive"),
        }

    async def run(self, work: Callable[[], T], lane: Lane = Lane.BULK) -> T:
        """The result of `work`, done on a thread of the lane with the caller's context (request id, deadline)."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        self._under_way[lane] += 1
        try:
            return await loop.run_in_executor(self._executors[lane], context.run, work)
        finally:
            self._under_way[lane] -= 1

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


def step_back() -> None:
    """Lets queries of other processes go first, for a process without queries of its own.

    Where Linux groups threads by session (autogroup), niceness counts within a session only, and each session gets the
    same share: the session's own niceness is what counts. Only a process that leads its session may speak for it.
    """
    group = Path("/proc/self/autogroup")
    if group.exists() and os.getsid(0) == os.getpid():
        with suppress(OSError):  # refused where autogroups are switched off, and there threads' niceness is enough
            group.write_text(str(BULK_NICENESS))


def _be_nice() -> None:
    if hasattr(os, "setpriority"):  # on Linux a thread has a niceness of its own
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + BULK_NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(19, niceness))
