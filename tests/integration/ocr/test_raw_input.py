"""Immich's next OCR graphs: bytes in, (rows, columns, RGB), normalised inside. Small ones made here, run for real."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import RuntimeSettings, TensorInfo
from ocr_service.detection.detector import TextDetector
from ocr_service.raw_input import as_wanted, takes_bytes
from ocr_service.recognition.recogniser import TextRecogniser

BYTES = TensorInfo("image", (None, None, None, 3), "uint8")


@pytest.fixture
def compute() -> Iterator[ComputePool]:
    pool = ComputePool(1)
    yield pool
    pool.close()


def save(nodes: list[onnx.NodeProto], outputs: Mapping[str, int], path: Path, **weights: NDArray[np.generic]) -> Path:
    """A graph from `image`, whose rows and columns are open; outputs by name, each of that element type."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "rows", "columns", 3])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def red(weights: dict[str, NDArray[np.generic]]) -> list[onnx.NodeProto]:
    """The red channel as 0 to 1, shape (1, rows, columns): where a graph gets BGR it sees the blue one."""
    weights |= {"first": np.array(0), "white": np.array(255, np.float32)}
    return [
        helper.make_node("Gather", ["image", "first"], ["channel"], axis=3),
        helper.make_node("Cast", ["channel"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["grey", "white"], ["red"]),
    ]


def test_bytes_come_back_as_they_were_and_padding_is_grey() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)
    blob = ((pixels.astype(np.float32) - 127.5) / 127.5).astype(np.float32)
    blob[..., 7] = 0
    fed = as_wanted(blob, BYTES)
    assert fed.dtype == np.uint8
    assert fed.shape == (1, 8, 8, 3)
    assert np.array_equal(fed[:, :, :7], pixels.transpose(0, 2, 3, 1)[:, :, :7, ::-1])
    assert (fed[:, :, 7] == 127).all()


def test_the_input_decides() -> None:
    assert takes_bytes(BYTES)
    blob = np.zeros((1, 3, 8, 8), np.float32)
    for other in (TensorInfo("x", (1, 3, None, None), "float32"), TensorInfo("x", (1, 3, None, None), "float16")):
        assert not takes_bytes(other)
        assert as_wanted(blob, other).shape == blob.shape
        assert as_wanted(blob, other).dtype == other.dtype


async def test_a_detector_that_takes_bytes_finds_what_is_red(tmp_path: Path, compute: ComputePool) -> None:
    weights: dict[str, NDArray[np.generic]] = {}
    nodes = [*red(weights), helper.make_node("Identity", ["red"], ["map"])]
    path = save(nodes, {"map": TensorProto.FLOAT}, tmp_path / "model.onnx", **weights)
    detector = TextDetector(Engine(path, RuntimeSettings(cores=1), compute, model="made", part="detection"))
    page = np.zeros((128, 256, 3), np.uint8)
    page[40:60, 50:200, 2] = 255  # red, in BGR
    page[90:110, 50:200, 0] = 255  # blue
    boxes = await detector.detect(page, ratio=1.0, min_score=0.5)
    assert len(boxes.quads) == 1
    assert boxes.quads[0][:, 1].max() < 90, "the red line, not the blue one"
    await detector.engine.drain()


@pytest.mark.parametrize("picks", [True, False])
async def test_a_recogniser_that_takes_bytes_gives_probabilities_or_its_choice(
    tmp_path: Path, compute: ComputePool, picks: bool
) -> None:
    # One step per column: class 1 ("a") where it is red, else the blank.
    weights: dict[str, NDArray[np.generic]] = {"rows": np.array([1]), "one": np.array(1, np.float32)}
    nodes = [
        *red(weights),
        helper.make_node("ReduceMean", ["red"], ["ink"], axes=[1], keepdims=0),
        helper.make_node("Sub", ["one", "ink"], ["blank"]),
        helper.make_node("Mul", ["ink", "zero"], ["none"]),
        helper.make_node("Unsqueeze", ["blank", "last"], ["p0"]),
        helper.make_node("Unsqueeze", ["ink", "last"], ["p1"]),
        helper.make_node("Unsqueeze", ["none", "last"], ["p2"]),
        helper.make_node("Concat", ["p0", "p1", "p2"], ["probabilities"], axis=2),
    ]
    weights |= {"zero": np.array(0, np.float32), "last": np.array([2])}
    outputs = {"probabilities": TensorProto.FLOAT}
    if picks:
        nodes += [
            helper.make_node("ArgMax", ["probabilities"], ["best"], axis=2, keepdims=0),
            helper.make_node("Cast", ["best"], ["indices"], to=TensorProto.INT32),
            helper.make_node("ReduceMax", ["probabilities"], ["certainty"], axes=[2], keepdims=0),
        ]
        outputs = {"indices": TensorProto.INT32, "certainty": TensorProto.FLOAT}
    weights.pop("rows")
    path = save(nodes, outputs, tmp_path / "recognition/model.onnx", **weights)
    (path.parent / "charset.txt").write_text("a\n")
    engine = Engine(path, RuntimeSettings(cores=1), compute, model="made", part="recognition")
    recogniser = TextRecogniser(engine, path.parent)
    # Four times as wide as high: read as it is, neither stretched nor squeezed, so that columns stay sharp.
    line = np.zeros((48, 192, 3), np.uint8)
    line[:, 20:40, 2] = line[:, 80:120, 2] = 255
    readings = await asyncio.wait_for(recogniser.read([line]), None)
    assert [reading.text for reading in readings] == ["aa"]
    assert readings[0].score > 0.95
    await recogniser.engine.drain()
