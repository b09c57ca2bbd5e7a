"""A model that pipelines can call: sessions behind a batcher, on the service's threads.

How a batch is run is decided here, so that pipelines do not know the device. On a GPU: one session, large batches. On a
CPU photos have two sessions where that pays (`sessions`), and each run takes the one that fits the moment. Queries have
the multi-threaded one alone.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from mesh.core import context, stages
from mesh.core.tracing import record_span
from mesh.serving import metrics
from mesh.serving.inference.batch_metrics import BatchMetrics
from mesh.serving.inference.batcher import Batcher
from mesh.serving.inference.calibration import Calibration, calibrate
from mesh.serving.inference.compute import ComputePool, Priority, session_threads
from mesh.serving.inference.opportunity import Opportunity
from mesh.serving.inference.sessions import Measure, Sessions
from mesh.serving.inference.working_memory import WorkingMemory
from mesh.serving.runtimes.selection import RuntimeChoice, choose
from mesh.serving.runtimes.self_check import MakeCheck, default_check
from mesh.serving.runtimes.session import (
    NOTHING_ENDS_IT,
    Array,
    Feeds,
    Interruption,
    ModelSession,
    RuntimeSettings,
    TensorInfo,
)
from mesh.serving.shapes.padding import Padding
from mesh.serving.shapes.shape_set import ShapeSet, Size, batches_up_to

T = TypeVar("T")
SessionFactory = Callable[[Path, RuntimeSettings, int], ModelSession]

GPU_BATCH_SIZE = 32


@dataclass(slots=True)
class _Item:
    """One item on its way through the batcher, with the moments that its request's trace and stages show."""

    feeds: Feeds
    submitted_ns: int
    place: Size | None = None
    started_ns: int = 0
    batch_size: int = 0

    def record(self, model: str, part: str) -> None:
        now = time.time_ns()
        record_span("queue", self.submitted_ns, self.started_ns or now, model=model, part=part)
        stages.note(stages.QUEUE, self.submitted_ns, self.started_ns or now)
        if self.started_ns:
            stages.note(part, self.started_ns, now)
            record_span("inference", self.started_ns, now, model=model, part=part, batch_size=self.batch_size)


class Engine:
    """One graph, ready to answer.

    Args:
        path: its .onnx file.
        runtime: device, cores, batching.
        compute: the service's threads.
        model: the model's name, for metrics.
        part: the model's part, for metrics.
        priority: whose work this is; decides on which threads it runs.
        can_stack: whether items may be stacked along the first axis, told by the outputs; asked only where the graph
            leaves the first axis of every input and output open. (SCRFD's first axis may count anchors.)
        typical_axes: usual size of the axes that the graph leaves open, by index: the inputs that calibration times. A
            graph that leaves more open than its batch is neither calibrated nor compared in other runtimes without.
        sizes: rows and columns that pictures are padded to, the most frequent first; none leaves them as they are.
        self_check: what a precision below fp32 must agree on; None compares the outputs' directions on made-up inputs.
        open_session: makes a session with so many threads; None chooses the runtime. Tests put a fake here.
        measure: times narrow against wide runs on a CPU; tests put a known result here.
        working_memory: gives back what pausing sessions hold; tests put one with a clock of theirs here.
        opportunity: when it is measured what pays; likewise.

    Raises:
        UnavailableError: the file cannot be read, or the device is not there. Blocking: call in a thread.
    """

    def __init__(
        self,
        path: Path,
        runtime: RuntimeSettings,
        compute: ComputePool,
        *,
        model: str,
        part: str,
        priority: Priority = Priority.BULK,
        can_stack: Callable[[Sequence[TensorInfo]], bool] = lambda outputs: True,
        typical_axes: Mapping[int, int] | None = None,
        sizes: Sequence[Size] = (),
        self_check: MakeCheck | None = None,
        open_session: SessionFactory | None = None,
        measure: Measure = calibrate,
        working_memory: WorkingMemory | None = None,
        opportunity: Opportunity | None = None,
    ) -> None:
        self._compute = compute
        self._priority = priority
        self._labels = (model, part)
        self._seconds = metrics.INFERENCE_SECONDS.labels(model, part)
        self._batch_size = metrics.BATCH_SIZE.labels(model, part)
        on_cpu = self.on_cpu = runtime.device.is_processor
        several = on_cpu and priority is Priority.BULK and compute.cores > 1 and runtime.low_latency_sessions
        batching = runtime.batching
        size = batching.max_batch_size or (1 if on_cpu else GPU_BATCH_SIZE)
        which = {"model": model, "part": part}
        check = self_check or partial(default_check, typical_axes=typical_axes)

        def choose_for(graph: Path, check: MakeCheck) -> RuntimeChoice:
            if (opens := open_session or runtime.open_session) is None:
                return choose(graph, runtime, check, several=several)
            opening = partial(opens, graph, runtime)
            return RuntimeChoice(opening, lambda shapes: opening(1))

        with session_threads(priority):
            shapes = ShapeSet(tuple(sizes), batches_up_to(size))
            self._padding = (
                Padding.of(path, runtime, shapes, choose_for, check, compute.is_calm, which)
                if sizes or runtime.device.compiles_per_shape
                else None
            )
            chosen = self._padding.choice if self._padding else choose_for(path, check)
            if several:
                self._sessions = Sessions.best(chosen, compute.cores, typical_axes, which=which, measure=measure)
            elif on_cpu and priority is Priority.INTERACTIVE:
                # A person's queries come one by one: all cores for each, and one copy in memory.
                self._sessions = Sessions.one(chosen.open(compute.cores), wide=True)
            else:
                self._sessions = Sessions.one(chosen.open(1))
        self._calibration: asyncio.Task[Calibration | None] | None = None
        self._opportunity = opportunity or Opportunity(runtime.cache_folder)
        self._working_memory = working_memory or WorkingMemory()
        for opened in {self._sessions.narrow, self._sessions.wide}:
            self._working_memory.ran(opened)  # to be compared
        session = self._sessions.narrow
        self.inputs: tuple[TensorInfo, ...] = session.inputs
        self.outputs: tuple[TensorInfo, ...] = session.outputs
        self.metadata = session.metadata
        self.provider = session.provider
        self.reason = chosen.reason
        self._shown = metrics.MODEL_RUNTIME.labels(*self._labels, self.provider)
        self._shown.set(1)
        open_axes = [bool(info.shape) and info.shape[0] is None for info in (*self.inputs, *self.outputs)]
        # What compiles for each shape, and has no few of them, would compile for each size of a batch.
        may_vary = self._padding is not None or not runtime.device.compiles_per_shape
        self.stackable = all(open_axes) and may_vary and can_stack(self.outputs)
        self._batcher: Batcher[_Item, list[Array]] = Batcher(
            self._run_batch,
            workers=compute.cores if on_cpu and not self._sessions.always_wide else 1,
            max_batch_size=size if self.stackable else 1,
            max_queue_size=batching.max_queue_size,
            max_queue_delay_seconds=batching.max_queue_delay_ms / 1000,
            observer=BatchMetrics(*self._labels),
        )

    @property
    def pads(self) -> bool:
        """Whether pictures are padded to a few sizes, which changes nothing of what is said of them."""
        return self._padding is not None

    @property
    def memory_bytes(self) -> int:
        """What the weights of its sessions take."""
        of_shapes = self._padding.memory_bytes if self._padding else None
        return self._sessions.memory_bytes if of_shapes is None else of_shapes

    def start(self) -> None:
        """What goes on in the background of a loaded model: shapes are compiled, while nobody waits for anything."""
        if self._padding:
            self._padding.start()

    async def infer(self, feeds: Feeds) -> list[Array]:
        """The graph's outputs for one item.

        Args:
            feeds: one array per input, each with a batch axis of 1. Items of equal shapes may run as one batch.

        Returns:
            The outputs in the graph's order; with a batch axis of 1 when the graph is stackable, else as they come.

        Raises:
            OverloadedError: the queue is full.
            DeadlineExceededError: the request's deadline (`mesh.core.context.deadline`) passed in the queue.
            UnavailableError: the model is being unloaded.
        """
        place = self._padding.runs.place_for(feeds) if self._padding else None
        shapes = place or tuple((name, array.shape) for name, array in feeds.items())
        key = (shapes, tuple(array.dtype.str for array in feeds.values()))
        item = _Item(feeds, submitted_ns=time.time_ns(), place=place)
        try:
            return await self._batcher.submit(item, key=key, deadline=context.deadline.get())
        finally:
            item.record(*self._labels)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of `work`, done on a thread of this engine's priority: pre- and post-processing."""
        if not stages.is_measured():
            return await self._compute.run(work, self._priority)
        submitted_ns = time.time_ns()

        def noted() -> T:
            stages.note(stages.QUEUE, submitted_ns, time.time_ns())
            return work()

        return await self._compute.run(noted, self._priority)

    async def drain(self) -> None:
        """Refuses new items and returns when the waiting ones are answered."""
        if self._padding:
            await self._padding.stop()
        if self._calibration:
            await asyncio.wait({self._calibration})
        await self._batcher.close()

    def release_idle(self) -> bool:
        """Gives back what sessions work in that have not run for a while; returns whether any did. Blocking."""
        return self._working_memory.release()

    async def calibrate(self) -> None:
        """Measures which sessions pay, where that is not known, it is due, and nobody waits for anything."""
        measure = self._sessions.measure
        if measure is None or not self._opportunity.is_due() or not self._compute.is_calm():
            return
        self._calibration = asyncio.create_task(asyncio.to_thread(self._opportunity.take, measure))
        found = await asyncio.shield(self._calibration)  # whoever drains waits for its runs, whoever asked need not
        measured = self._sessions
        if found is not None:
            self._sessions = measured.settled(found, in_use=self._batcher.busy > 0)
        for session in {measured.narrow, measured.wide}:
            self._working_memory.ran(session)
        if self._sessions.wide is not measured.wide:
            self._working_memory.forget(measured.wide)

    def close(self) -> None:
        """Gives the memory back; nothing may run any more."""
        self._shown.set(0)
        if self._padding:
            self._padding.keep_wanted()
        self._sessions.close()

    async def _run_batch(self, batch: Sequence["_Item"]) -> list[list[Array]]:
        alone = self._batcher.busy == 1 and self._batcher.waiting == 0 and self._compute.is_free(self._priority)
        session = self._sessions.of_run(alone=alone)

        def infer(interruption: Interruption) -> list[list[Array]]:
            started, started_ns = time.perf_counter(), time.time_ns()
            for item in batch:
                item.started_ns, item.batch_size = started_ns, len(batch)
            try:
                results = self._results(session, batch, interruption)
            finally:
                self._working_memory.ran(session)
            self._seconds.observe(time.perf_counter() - started)
            return results

        self._batch_size.observe(len(batch))
        if not self.on_cpu:  # the cores are free meanwhile
            return await self._compute.run(partial(infer, NOTHING_ENDS_IT), self._priority)
        return await self._compute.run_graph(infer, self._priority)

    def _results(
        self, session: ModelSession, batch: Sequence["_Item"], interruption: Interruption
    ) -> list[list[Array]]:
        feeds, place = [item.feeds for item in batch], batch[0].place
        if self._padding is None or place is None:
            return run_stacked(session, feeds, interruption)
        return self._padding.runs.run(session, feeds, place, interruption)


def run_stacked(
    session: ModelSession, batch: Sequence[Feeds], interruption: Interruption = NOTHING_ENDS_IT
) -> list[list[Array]]:
    """Runs items of equal shapes as one batch along axis 0; a batch of one goes through as it is, without a copy."""
    if len(batch) == 1:
        return [session.run(batch[0], interruption)]
    stacked = {name: np.concatenate([feeds[name] for feeds in batch]) for name in batch[0]}
    outputs = session.run(stacked, interruption)
    for output in outputs:
        if output.shape[0] != len(batch):
            raise RuntimeError(f"the model gave {output.shape[0]} rows for {len(batch)} inputs")
    return [[output[row : row + 1] for output in outputs] for row in range(len(batch))]
