"""The threads of a service that do the work: as many as there are cores, so that runs never crowd each other out.

Photos are decoded, prepared and run on the bulk threads. They give way to queries (`precedence`, `interruption`), not
to whatever else the machine does: a low priority that holds against everything would starve photos beside a single busy
process. Services on the same cores share them by what each has to do (`traffic`).
Models are read at the process's own priority: everybody waits for them.
"""

import asyncio
import contextvars
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from mesh.serving.inference.interruption import Interrupter
from mesh.serving.inference.precedence import Precedence
from mesh.serving.inference.traffic import Traffic
from mesh.serving.runtimes.session import NOTHING_ENDS_IT, Interruption

T = TypeVar("T")

BULK_NICENESS = 2
"""Added to the niceness of bulk threads, for the work that is under way when a query comes and goes on. Small: beside a
foreign process on the same core such a thread has two fifths of its time, and would have a quarter at 5."""


class Priority(StrEnum):
    """Who waits for the result: a person (search) or a job (indexing)."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class ComputePool:
    """Threads for blocking work, by priority.

    Args:
        cores: runs that may go on side by side in each priority.
        precedence: of queries over bulk work; None for queries of this pool alone.
        traffic: the photos of this machine; None for those of this pool alone.
        shared: whether the other services' threads run on these cores too. In a container with a limit they do not.

    Attributes:
        traffic: whom a pipeline tells of its photos.
    """

    def __init__(
        self,
        cores: int,
        precedence: Precedence | None = None,
        traffic: Traffic | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self.cores = cores
        self.traffic = traffic or Traffic()
        self._precedence = precedence or Precedence()
        self._interrupter = Interrupter(self._precedence)
        self._turns = _Turns(partial(self.traffic.share, cores)) if shared else None
        self._under_way = dict.fromkeys(Priority, 0)
        self._executors = {
            Priority.BULK: ThreadPoolExecutor(cores, "bulk", initializer=_lower_priority),
            Priority.INTERACTIVE: ThreadPoolExecutor(cores, "interactive"),
        }

    async def run(self, work: Callable[[], T], priority: Priority = Priority.BULK) -> T:
        """The result of `work`, done on a thread of the priority with the caller's context (request id, deadline)."""
        if priority is Priority.INTERACTIVE:
            with self._precedence.query():
                return await self._on_thread(work, priority)
        return await self._on_thread(partial(self._in_turn, partial(self._after_queries, work)), priority)

    async def run_graph(self, run: Callable[[Interruption], T], priority: Priority = Priority.BULK) -> T:
        """The result of running a graph, as `run` gives it; a photo's ends for a query, and begins anew after it."""
        if priority is Priority.INTERACTIVE:
            return await self.run(partial(run, NOTHING_ENDS_IT), priority)
        return await self._on_thread(partial(self._in_turn, partial(self._interrupter.run, run)), priority)

    async def _on_thread(self, work: Callable[[], T], priority: Priority) -> T:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        self._count(priority, 1)
        try:
            return await loop.run_in_executor(self._executors[priority], context.run, work)
        finally:
            self._count(priority, -1)

    def _count(self, priority: Priority, change: int) -> None:
        self._under_way[priority] += change
        if priority is Priority.BULK:
            self.traffic.has_work(self._under_way[priority])

    def _in_turn(self, work: Callable[[], T]) -> T:
        with self._turns or nullcontext():
            return work()

    def _after_queries(self, work: Callable[[], T]) -> T:
        self._precedence.give_way()
        return work()

    def is_free(self, priority: Priority) -> bool:
        """Whether a run may take all cores: nothing is on the priority's threads, and no other photo on the machine."""
        return self._under_way[priority] == 0 and self.traffic.is_alone()

    def is_calm(self) -> bool:
        """Whether nobody waits for anything: no photo and no query is under way on this machine, nor was just now."""
        return self.traffic.is_calm() and not self._precedence.query_under_way

    def close(self) -> None:
        """Lets running work finish and drops what waits."""
        for executor in self._executors.values():
            executor.shutdown(wait=True, cancel_futures=True)
        self._interrupter.close()


class _Turns:
    """So many threads are in the block at once as `share` says whenever one comes or goes."""

    def __init__(self, share: Callable[[], int]) -> None:
        self._share = share
        self._inside = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            while self._inside >= self._share():
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()


@contextmanager
def session_threads(priority: Priority) -> Iterator[None]:
    """Sessions are opened in the block at this thread's own priority; threads that they start get that of the work.

    A runtime starts its threads in the middle of reading a model, and they inherit niceness and name of the thread that
    reads; only afterwards can they be given their own, since nobody may raise a niceness again. They are told apart
    from all other threads by the name (Linux; elsewhere threads have no niceness of their own).
    """
    own = _TASKS / str(threading.get_native_id()) / "comm"
    if not own.exists():
        yield
        return
    usual, marked = own.read_text(), f"opening {next(_openings) % 10_000}"
    own.write_text(marked)
    try:
        yield
    finally:
        own.write_text(usual)
        for name in _TASKS.glob("*/comm"):
            with suppress(OSError):  # a thread that ended meanwhile
                if name.read_text().strip() == marked:
                    name.write_text(priority.value)
                    if priority is Priority.BULK:
                        _lower_priority(int(name.parent.name))


_TASKS = Path("/proc/self/task")
_openings = itertools.count()


def _lower_priority(thread: int = 0) -> None:
    """Of the calling thread, for 0."""
    if hasattr(os, "setpriority"):  # on Linux a thread has a niceness of its own
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + BULK_NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(19, niceness))
