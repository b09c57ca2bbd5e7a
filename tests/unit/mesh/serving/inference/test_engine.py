"""Engines on real onnxruntime sessions of a tiny graph, and the choice between narrow and wide sessions on fakes."""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.core import context, tracing
from mesh.core.errors import DeadlineExceededError
from mesh.core.settings import BatchingSettings, Device
from mesh.serving.inference.calibration import Calibration
from mesh.serving.inference.compute import ComputePool, Priority
from mesh.serving.inference.engine import Engine
from mesh.serving.inference.opportunity import SETTLE_SECONDS, Opportunity
from mesh.serving.inference.sessions import Measure
from mesh.serving.inference.working_memory import PAUSE_SECONDS, WorkingMemory
from mesh.serving.runtimes.session import (
    NOTHING_ENDS_IT,
    Feeds,
    ModelSession,
    RuntimeSettings,
    TensorInfo,
    dummy_feeds,
)
from tests.clock import FakeClock
from tests.doubles.sessions import FakeSession
from tests.unit.mesh.serving.inference.doubles import doubling_graph


def engine_of(path: Path, compute: ComputePool, **options: int) -> Engine:
    runtime = RuntimeSettings(cores=2, batching=BatchingSettings(max_batch_size=options.get("max_batch_size", 0)))
    return Engine(path, runtime, compute, model="double", part="all")


@pytest.mark.parametrize("batch", [None, 1])
async def test_every_item_gets_its_own_answer(tmp_path: Path, compute: ComputePool, batch: int | None) -> None:
    engine = engine_of(doubling_graph(tmp_path / "m.onnx", batch), compute, max_batch_size=4)
    assert engine.stackable is (batch is None)
    items = [np.full((1, 3), number, np.float32) for number in range(9)]
    answers = await asyncio.gather(*(engine.infer({"x": item}) for item in items))
    for number, (answer,) in enumerate(answers):
        assert answer.shape == (1, 3)
        assert answer.tolist() == [[2.0 * number] * 3]
    await engine.drain()
    engine.close()


async def test_it_tells_the_graph_apart(tmp_path: Path, compute: ComputePool) -> None:
    engine = engine_of(doubling_graph(tmp_path / "m.onnx", None), compute)
    assert engine.inputs == (TensorInfo("x", (None, 3), "float32"),)
    assert engine.metadata == {"answer": "42"}
    assert engine.provider == "CPUExecutionProvider"
    assert engine.memory_bytes > 0
    assert dummy_feeds(engine.inputs, {0: 5})["x"].shape == (5, 3)


WIDE_PAYS_ALONE = Calibration(side_by_side_per_second=2.0, alone_narrow_seconds=1.0, alone_wide_seconds=0.6)
WIDE_PAYS_ALWAYS = Calibration(side_by_side_per_second=1.5, alone_narrow_seconds=1.0, alone_wide_seconds=0.5)
WIDE_NEVER_PAYS = Calibration(side_by_side_per_second=2.0, alone_narrow_seconds=1.0, alone_wide_seconds=0.95)


def fake_engine(
    compute: ComputePool,
    device: Device = Device.CPU,
    measured: Calibration | None = WIDE_PAYS_ALONE,
    lane: Priority = Priority.BULK,
) -> tuple[Engine, list[FakeSession]]:
    made: list[FakeSession] = []

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> FakeSession:
        made.append(FakeSession(threads))
        return made[-1]

    runtime = RuntimeSettings(device=device, cores=2)
    return Engine(
        Path("m"),
        runtime,
        compute,
        model="m",
        part="p",
        priority=lane,
        open_session=open_session,
        measure=lambda *_: measured,
    ), made


ITEM = {"x": np.zeros((1, 1), np.float32)}


async def test_on_a_cpu_a_lone_request_takes_all_cores_and_parallel_ones_a_core_each(compute: ComputePool) -> None:
    engine, (narrow, wide) = fake_engine(compute)
    assert (narrow.threads, wide.threads) == (1, 2)
    await engine.infer(ITEM)
    assert (narrow.batches, wide.batches) == ([], [1])
    await asyncio.gather(*(engine.infer(ITEM) for _ in range(4)))
    assert len(narrow.batches) >= 2
    assert engine.memory_bytes == 20
    engine.close()
    assert narrow.closed
    assert wide.closed


async def test_sessions_that_pause_give_back_what_they_worked_in(compute: ComputePool) -> None:
    clock, made = FakeClock(), list[FakeSession]()

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> FakeSession:
        made.append(FakeSession(threads))
        return made[-1]

    engine = Engine(
        Path("m"),
        RuntimeSettings(device=Device.CPU, cores=2),
        compute,
        model="m",
        part="p",
        open_session=open_session,
        measure=lambda *_: WIDE_PAYS_ALONE,
        working_memory=WorkingMemory(clock),
    )
    narrow, wide = made
    clock.now += PAUSE_SECONDS
    await engine.infer(ITEM)
    assert engine.release_idle(), "what it was compared in"
    assert (narrow.released, wide.released) == (1, 0)
    clock.now += PAUSE_SECONDS
    assert engine.release_idle()
    assert (narrow.released, wide.released) == (1, 1)
    engine.close()


async def test_a_request_is_not_alone_beside_other_work_of_its_lane(compute: ComputePool) -> None:
    engine, (narrow, wide) = fake_engine(compute)
    go_on = threading.Event()
    other = asyncio.create_task(compute.run(go_on.wait))
    await asyncio.sleep(0)
    try:
        await engine.infer(ITEM)
    finally:
        go_on.set()
    await other
    assert (narrow.batches, wide.batches) == ([1], [])
    await engine.infer(ITEM)
    assert wide.batches == [1]


async def test_queries_have_one_session_on_all_cores(compute: ComputePool) -> None:
    made: list[FakeSession] = []

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> FakeSession:
        made.append(FakeSession(threads))
        return made[-1]

    runtime = RuntimeSettings(cores=2)
    engine = Engine(
        Path("m"), runtime, compute, model="m", part="p", priority=Priority.INTERACTIVE, open_session=open_session
    )
    await asyncio.gather(*(engine.infer(ITEM) for _ in range(3)))
    (session,) = made
    assert session.threads == 2
    assert session.batches == [1, 1, 1]


async def test_the_second_session_can_be_done_without(compute: ComputePool) -> None:
    made: list[FakeSession] = []

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> FakeSession:
        made.append(FakeSession(threads))
        return made[-1]

    runtime = RuntimeSettings(cores=2, low_latency_sessions=False)
    Engine(Path("m"), runtime, compute, model="m", part="p", open_session=open_session)
    assert [session.threads for session in made] == [1]


async def test_a_busy_machine_keeps_both_ways(compute: ComputePool) -> None:
    engine, (narrow, wide) = fake_engine(compute, measured=None)
    await engine.infer(ITEM)
    await asyncio.gather(*(engine.infer(ITEM) for _ in range(4)))
    assert wide.batches[0] == 1
    assert len(narrow.batches) >= 2


def calibrated_engine(
    compute: ComputePool, folder: Path, measure: Measure, clock: FakeClock
) -> tuple[Engine, list[FakeSession]]:
    """An engine of fakes that is calibrated by `measure`."""
    made: list[FakeSession] = []

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> FakeSession:
        made.append(FakeSession(threads))
        return made[-1]

    engine = Engine(
        Path("m"),
        RuntimeSettings(cores=2, cache_folder=folder),
        compute,
        model="m",
        part="p",
        open_session=open_session,
        measure=measure,
        opportunity=Opportunity(folder, clock=clock),
    )
    return engine, made


async def test_where_wide_runs_never_win_their_memory_is_given_back(compute: ComputePool, tmp_path: Path) -> None:
    """When it is known: some time after the start."""
    clock = FakeClock()
    engine, (narrow, wide) = calibrated_engine(compute, tmp_path, lambda *_: WIDE_NEVER_PAYS, clock)
    await engine.calibrate()
    assert (narrow.closed, wide.closed) == (False, False)
    clock.now += SETTLE_SECONDS
    await engine.calibrate()
    assert (narrow.closed, wide.closed) == (False, True)
    await engine.infer(ITEM)
    assert narrow.batches == [1]
    assert engine.memory_bytes == 10
    engine.close()


async def test_nothing_is_measured_while_a_photo_is_under_way(compute: ComputePool, tmp_path: Path) -> None:
    clock, measured = FakeClock(), list[int]()

    def measure(narrow: ModelSession, wide: ModelSession, feeds: Feeds, cores: int) -> Calibration:
        measured.append(cores)
        return WIDE_PAYS_ALONE

    engine, (_, wide) = calibrated_engine(compute, tmp_path, measure, clock)
    clock.now += SETTLE_SECONDS
    with compute.traffic.photo():
        await engine.calibrate()
        assert not measured
    engine, (_, wide) = calibrated_engine(ComputePool(2), tmp_path, measure, clock)
    clock.now += SETTLE_SECONDS
    await engine.calibrate()
    await engine.calibrate()
    assert measured == [2], "once"
    assert not wide.closed


async def test_an_engine_closes_when_its_calibration_is_over(compute: ComputePool, tmp_path: Path) -> None:
    clock, begun, end = FakeClock(), threading.Event(), threading.Event()

    def measure(narrow: ModelSession, wide: ModelSession, feeds: Feeds, cores: int) -> None:
        begun.set()
        end.wait()

    engine, _ = calibrated_engine(compute, tmp_path, measure, clock)
    clock.now += SETTLE_SECONDS
    asking = asyncio.create_task(engine.calibrate())
    await asyncio.to_thread(begun.wait)
    asking.cancel()
    draining = asyncio.create_task(engine.drain())
    await asyncio.wait({asking})
    assert not draining.done()
    end.set()
    await draining
    engine.close()


async def test_on_a_gpu_what_waits_becomes_one_batch(compute: ComputePool) -> None:
    engine, made = fake_engine(compute, Device.CUDA)
    await asyncio.gather(*(engine.infer(ITEM) for _ in range(40)))
    (session,) = made
    assert session.batches == [32, 8]


async def test_the_requests_deadline_holds_in_the_queue(compute: ComputePool) -> None:
    engine, _ = fake_engine(compute)
    context.deadline.set(time.monotonic() - 1)
    with pytest.raises(DeadlineExceededError):
        await engine.infer(ITEM)


async def test_bulk_threads_have_a_lower_priority_than_queries_but_are_not_starved(compute: ComputePool) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    own = niceness()
    assert await compute.run(niceness, Priority.INTERACTIVE) == own
    assert own < await compute.run(niceness, Priority.BULK) <= own + 5  # at 5, a third of an equal's share


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux alone")
@pytest.mark.parametrize("priority", list(Priority))
async def test_a_graph_is_read_at_the_process_own_priority_and_run_at_its_lanes(
    compute: ComputePool, priority: Priority
) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    while_opening: list[int] = []
    runtimes: list[int] = []
    end = threading.Event()

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> FakeSession:
        while_opening.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        started = threading.Event()

        def work() -> None:
            runtimes.append(threading.get_native_id())
            started.set()
            end.wait()

        threading.Thread(target=work).start()
        started.wait()
        return FakeSession(threads)

    def open_engine() -> Engine:
        return Engine(
            Path("m"),
            RuntimeSettings(cores=2),
            compute,
            model="m",
            part="p",
            priority=priority,
            open_session=open_session,
            measure=lambda *_: WIDE_PAYS_ALONE,
        )

    bystander = threading.Thread(target=end.wait)
    bystander.start()
    try:
        await asyncio.to_thread(open_engine)
        of_lane = await compute.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), priority)
        assert set(while_opening) == {own}
        assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in runtimes} == {of_lane}
        assert bystander.native_id is not None
        assert os.getpriority(os.PRIO_PROCESS, bystander.native_id) == own
    finally:
        end.set()


async def test_a_requests_trace_shows_its_time_in_the_queue_and_in_the_model(
    compute: ComputePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)
    exporter = InMemorySpanExporter()
    tracing.configure_tracing("test", exporter)
    engine, _ = fake_engine(compute)
    with tracing.span("request"):
        await engine.infer(ITEM)
    queue, inference, request = exporter.get_finished_spans()
    assert [queue.name, inference.name, request.name] == ["queue", "inference", "request"]
    assert queue.end_time == inference.start_time
    assert inference.attributes == {"model": "m", "part": "p", "batch_size": 1}
    assert inference.parent is not None
    assert inference.parent.span_id == request.context.span_id


async def test_a_query_may_end_a_photos_run_on_a_processor_alone(compute: ComputePool) -> None:
    for device, lane, may_end in (
        (Device.CPU, Priority.BULK, True),
        (Device.CPU, Priority.INTERACTIVE, False),
        (Device.CUDA, Priority.BULK, False),
    ):
        engine, made = fake_engine(compute, device, lane=lane)
        await engine.infer(ITEM)
        asked = [interruption for session in made for interruption in session.interruptions]
        assert [interruption is not NOTHING_ENDS_IT for interruption in asked] == [may_end]
