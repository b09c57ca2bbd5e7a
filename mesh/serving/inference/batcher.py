"""Single model inputs become batches, greedily: while every worker is busy the next batch grows; an idle one starts
with what was submitted in the same turn of the event loop.

There is no loop that could die: a submitted item and a finished batch each look whether a batch can start. Invariants:
every item resolves exactly once; results match items in number; cancelled and expired items never reach the model; a
full queue refuses at once; a failed batch is run again item by item, so that one bad input harms no neighbour.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mesh.core.errors import DeadlineExceededError, OverloadedError, UnavailableError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Observer(Protocol):
    """Hears what the batcher does; metrics in production."""

    def queued(self, waiting: int) -> None:
        """The number of waiting items changed."""

    def started(self, waited_seconds: Sequence[float]) -> None:
        """A batch starts; one waiting time per item."""

    def dropped(self, reason: str) -> None:
        """An item will not be run: `full`, `expired` or `cancelled`."""


@dataclass(slots=True, eq=False)
class _QueuedItem(Generic[ItemT, ResultT]):
    item: ItemT
    future: "asyncio.Future[ResultT]"
    enqueued_at: float
    deadline: float | None


class Batcher(Generic[ItemT, ResultT]):
    """Runs items in batches of equal key.

    Args:
        run: runs one batch; gives one result per item, in order.
        workers: batches that may run at the same time.
        max_batch_size: most items of one batch.
        max_queue_size: most items waiting.
        max_queue_delay_seconds: how long an idle worker waits for a batch to fill up.
        observer: hears of queueing, starts and drops.
        clock: seconds, monotonic.
        call_later: calls back after so many seconds; the event loop's by default.
    """

    def __init__(
        self,
        run: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]],
        *,
        workers: int,
        max_batch_size: int,
        max_queue_size: int,
        max_queue_delay_seconds: float = 0.0,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_later: "Callable[[float, Callable[[], None]], object] | None" = None,
    ) -> None:
        self._run = run
        self._workers = workers
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._max_queue_delay = max_queue_delay_seconds
        self._observer = observer
        self._clock = clock
        self._call_later = call_later
        self._queues: OrderedDict[Hashable, deque[_QueuedItem[ItemT, ResultT]]] = OrderedDict()
        self._waiting = 0
        self._running: set[asyncio.Task[None]] = set()
        self._timer_is_set = False
        self._wake_up: asyncio.Handle | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """Items that no batch has taken yet."""
        return self._waiting

    @property
    def busy(self) -> int:
        """Batches that are running."""
        return len(self._running)

    async def submit(self, item: ItemT, *, key: Hashable = None, deadline: float | None = None) -> ResultT:
        """The result of one item.

        Args:
            item: what to run.
            key: only items of equal key share a batch.
            deadline: on the batcher's clock; an item that is still waiting then is dropped.

        Raises:
            OverloadedError: the queue is full.
            DeadlineExceededError: the deadline passed before its batch started.
            UnavailableError: the batcher is closed.
            Exception: whatever `run` raised for this item alone.
        """
        if self._closed:
            raise UnavailableError("the model is being unloaded: try again")
        if self._waiting >= self._max_queue_size:
            self._drop("full")
            raise OverloadedError(f"{self._waiting} inputs are waiting for this model: try again later")
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        entry = _QueuedItem(item, future, self._clock(), deadline)
        self._queues.setdefault(key, deque()).append(entry)
        self._count(+1)
        if self._wake_up is None:
            self._wake_up = asyncio.get_running_loop().call_soon(self._on_wake_up)
        try:
            return await future
        except asyncio.CancelledError:
            self._forget(key, entry)
            raise

    async def close(self) -> None:
        """Refuses new items, lets the waiting ones finish, and returns when nothing runs any more."""
        self._closed = True
        self._start_batches()
        while self._running:
            await asyncio.wait(self._running)

    def _start_batches(self) -> None:
        while len(self._running) < self._workers and (queue := self._next_queue()) is not None:
            if batch := self._take(*queue):
                task = asyncio.get_running_loop().create_task(self._run_batch(batch))
                self._running.add(task)
                task.add_done_callback(self._finished)

    def _next_queue(self) -> tuple[Hashable, deque[_QueuedItem[ItemT, ResultT]]] | None:
        """The queue of the oldest item whose batch need not wait any longer, with its key."""
        by_age = sorted(self._queues.items(), key=lambda queue: queue[1][0].enqueued_at)
        return next((queue for queue in by_age if not self._should_wait(queue[1])), None)

    def _should_wait(self, queue: deque[_QueuedItem[ItemT, ResultT]]) -> bool:
        """Whether the oldest item's batch may still grow; the first that may sets the timer that looks again."""
        if self._closed or not self._max_queue_delay or len(queue) >= self._max_batch_size:
            return False
        left = queue[0].enqueued_at + self._max_queue_delay - self._clock()
        if left <= 0:
            return False
        if not self._timer_is_set:
            self._timer_is_set = True
            (self._call_later or asyncio.get_running_loop().call_later)(left, self._on_timer)
        return True

    def _on_wake_up(self) -> None:
        self._wake_up = None
        self._start_batches()

    def _on_timer(self) -> None:
        self._timer_is_set = False
        self._start_batches()

    def _take(self, key: Hashable, queue: deque[_QueuedItem[ItemT, ResultT]]) -> list[_QueuedItem[ItemT, ResultT]]:
        """The next batch of this key, without expired items; perhaps empty.

        What waits is shared among the idle workers, so that ten lines of one photo run as two fives on two cores and
        not as one ten on one; but not where batches are meant to grow.
        """
        sharing = 1 if self._max_queue_delay else self._workers - len(self._running)
        size = min(self._max_batch_size, math.ceil(len(queue) / sharing))
        now = self._clock()
        batch: list[_QueuedItem[ItemT, ResultT]] = []
        while queue and len(batch) < size:
            entry = queue.popleft()
            self._count(-1)
            if entry.future.done():  # cancelled this very moment; its submitter has not been told yet
                self._drop("cancelled")
            elif entry.deadline is not None and entry.deadline <= now:
                self._drop("expired")
                entry.future.set_exception(DeadlineExceededError("the deadline passed while waiting for the model"))
            else:
                batch.append(entry)
        if not queue:
            del self._queues[key]
        if batch and self._observer:
            self._observer.started([now - entry.enqueued_at for entry in batch])
        return batch

    def _forget(self, key: Hashable, entry: _QueuedItem[ItemT, ResultT]) -> None:
        """Lets go of an item that was cancelled while it waited: it must not keep others out of the queue."""
        queue = self._queues.get(key)
        if queue is not None and entry in queue:
            queue.remove(entry)
            if not queue:
                del self._queues[key]
            self._count(-1)
            self._drop("cancelled")

    async def _run_batch(self, batch: list[_QueuedItem[ItemT, ResultT]]) -> None:
        try:
            results = await self._run([entry.item for entry in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"the model gave {len(results)} results for {len(batch)} inputs")
        except Exception as error:  # noqa: BLE001 - handed to the items that caused it, whatever it is
            await self._run_singly(batch, error)
            return
        for entry, result in zip(batch, results, strict=True):
            if not entry.future.done():
                entry.future.set_result(result)

    async def _run_singly(self, batch: list[_QueuedItem[ItemT, ResultT]], error: Exception) -> None:
        if len(batch) == 1:
            if not batch[0].future.done():
                batch[0].future.set_exception(error)
            return
        for entry in batch:
            if not entry.future.done():
                await self._run_batch([entry])

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._start_batches()

    def _count(self, change: int) -> None:
        self._waiting += change
        if self._observer:
            self._observer.queued(self._waiting)

    def _drop(self, reason: str) -> None:
        if self._observer:
            self._observer.dropped(reason)
