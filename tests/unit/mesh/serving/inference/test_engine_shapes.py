"""Engines on devices that compile for each shape: pictures padded to few sizes, and what cannot be."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mesh.core.settings import BatchingSettings, Device
from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.session import (
    RuntimeSettings,
)
from mesh.serving.shapes.shape_set import Size
from tests.doubles.sessions import FakeSession
from tests.unit.mesh.serving.inference.doubles import doubling_graph
from tests.unit.mesh.serving.shapes.doubles import (
    SET,
    CountingSession,
    approximately,
    picture,
    save_convolution,
    save_fixed_convolution,
)
from tests.waiting import until


@dataclass
class Padded:
    """An engine of a convolution whose pictures are padded, and what its sessions were compiled for and ran."""

    engine: Engine
    opened: list[Path]
    ran: list[tuple[int, ...]]


def padded_engine(
    folder: Path, compute: ComputePool, device: Device, graph: Path | None = None, sizes: Sequence[Size] = SET.sizes
) -> Padded:
    ran: list[tuple[int, ...]] = []
    opened: list[Path] = []

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> CountingSession:
        opened.append(path)
        return CountingSession(path, ran)

    engine = Engine(
        graph or save_convolution(folder),
        RuntimeSettings(device=device, cores=2, cache_folder=folder, batching=BatchingSettings(max_batch_size=4)),
        compute,
        model="m",
        part="p",
        sizes=sizes,
        open_session=open_session,
    )
    return Padded(engine, opened, ran)


@pytest.mark.parametrize("device", [Device.CPU, Device.ROCM])
async def test_pictures_are_padded_to_the_sizes_and_get_their_own_answers(
    tmp_path: Path, compute: ComputePool, device: Device
) -> None:
    padded = padded_engine(tmp_path, compute, device)
    plain = OnnxSession(tmp_path / "model.onnx", RuntimeSettings())
    assert padded.engine.pads
    assert padded.engine.stackable
    pictures = [picture((20 + 7 * number, 90 - 5 * number), number) for number in range(12)]

    answers = await asyncio.gather(*(padded.engine.infer(one) for one in pictures))

    for one, (answer,) in zip(pictures, answers, strict=True):
        assert answer == approximately(plain.run(one)[0])
    assert {shape[2:] for shape in padded.ran} <= set(SET.sizes)
    await padded.engine.drain()
    padded.engine.close()


async def test_a_device_that_compiles_gets_ready_in_the_background(tmp_path: Path, compute: ComputePool) -> None:
    padded = padded_engine(tmp_path, compute, Device.OPENVINO_NPU)
    await padded.engine.infer(picture((128, 160)))
    assert len(padded.opened) == 1  # not the best for it, but ready
    padded.engine.start()
    await until(lambda: len(padded.opened) >= len(SET))
    await padded.engine.drain()
    assert padded.engine.memory_bytes > 0
    padded.engine.close()


async def test_nothing_is_compiled_in_the_background_where_all_shapes_are_alike(
    tmp_path: Path, compute: ComputePool
) -> None:
    padded = padded_engine(tmp_path, compute, Device.CPU)
    before = len(padded.opened)
    padded.engine.start()
    await padded.engine.infer(picture((30, 30)))
    await padded.engine.drain()
    assert len(padded.opened) == before
    padded.engine.close()


async def test_a_graph_that_cannot_be_masked_takes_inputs_as_they_are(tmp_path: Path, compute: ComputePool) -> None:
    engine = Engine(
        doubling_graph(tmp_path / "m.onnx", None),
        RuntimeSettings(cores=2, cache_folder=tmp_path),
        compute,
        model="double",
        part="all",
        sizes=SET.sizes,
    )
    assert not engine.pads
    assert (await engine.infer({"x": np.ones((1, 3), np.float32)}))[0].tolist() == [[2.0] * 3]
    await engine.drain()
    engine.close()


async def test_pictures_of_one_size_are_padded_in_number_where_each_number_would_be_compiled(
    tmp_path: Path, compute: ComputePool
) -> None:
    graph = save_fixed_convolution(tmp_path)
    padded = padded_engine(tmp_path, compute, Device.ROCM, graph, sizes=())
    plain = OnnxSession(graph, RuntimeSettings())
    padded.engine.start()
    await until(lambda: len(padded.opened) == 2)  # for one, and for four
    pictures = [picture((32, 32), number) for number in range(7)]

    answers = await asyncio.gather(*(padded.engine.infer(one) for one in pictures))

    for one, (answer,) in zip(pictures, answers, strict=True):
        assert answer == approximately(plain.run(one)[0])
    assert {shape[0] for shape in padded.ran} <= {1, 4}
    assert set(padded.opened) == {graph}
    await padded.engine.drain()
    padded.engine.close()


async def test_what_has_no_few_shapes_runs_singly_where_each_would_be_compiled(
    tmp_path: Path, compute: ComputePool
) -> None:
    """A text encoder, whose batches vary in number alone."""
    sessions: list[FakeSession] = []

    def open_session(path: Path, runtime: RuntimeSettings, threads: int) -> FakeSession:
        sessions.append(FakeSession(threads))
        return sessions[-1]

    graph = doubling_graph(tmp_path / "m.onnx", None)
    runtime = RuntimeSettings(device=Device.ROCM, cache_folder=tmp_path)
    engine = Engine(graph, runtime, compute, model="m", part="textual", open_session=open_session)
    await asyncio.gather(*(engine.infer({"x": np.ones((1, 1), np.float32)}) for _ in range(5)))
    assert [session.batches for session in sessions] == [[1] * 5]
    await engine.drain()
    engine.close()
