"""Graphs in which padding has no say, held against the originals."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.ocr.readers import V4, V6, graphs
from mesh.core.errors import UnavailableError
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.session import RuntimeSettings, TensorInfo
from mesh.serving.shapes.graphs import MaskedGraph, masked_graph
from mesh.serving.shapes.growth import PictureInput, UnmaskableGraphError, example
from mesh.serving.shapes.masked import MASK
from tests.builders.graph import UINT8, Graph
from tests.unit.mesh.serving.shapes.doubles import INFO, PICTURES, convolved, save_convolution

SMALL, LARGE = (64, 96), (128, 160)


def masked(path: Path, inputs: tuple[TensorInfo, ...] = INFO, rows: int | None = None) -> MaskedGraph:
    return masked_graph(path, path.parent, PictureInput.of(inputs, rows))


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("model", [V6, V4])
@pytest.mark.parametrize("part", [0, 1], ids=["detection", "recognition"])
def test_a_picture_among_noise_gives_what_it_gives_alone(model: str, part: int, tmp_path: Path) -> None:
    path = graphs(model)[part]
    original = OnnxSession(path, RuntimeSettings(cache_folder=tmp_path))
    form = masked_graph(path, tmp_path, PictureInput.of(original.inputs, rows=48 if part else None))
    small, large = (form.picture.sized(size) for size in (SMALL, LARGE))

    noise = np.random.default_rng(0).uniform(-1, 1, form.picture.shape(2, large)).astype(np.float32)
    noise[:1, :, : small[0], : small[1]] = picture = example(form.picture, 1, small)
    feeds = {form.picture.info.name: noise}
    (alone,) = original.run({form.picture.info.name: picture})
    (outputs,) = session(form.path).run(None, {**feeds, MASK: form.masks([small], large, 2)})
    (unmasked,) = original.run(feeds)

    assert np.abs(form.cropped(outputs, 0, 0, small) - alone).max() < 1e-4
    assert np.abs(form.cropped(unmasked, 0, 0, small) - alone).max() > 1e-3  # so padding did have a say


def test_a_masked_graph_is_kept(tmp_path: Path) -> None:
    path = save_convolution(tmp_path)
    first = masked(path)
    written = first.path.stat().st_mtime_ns

    assert masked(path) == first
    assert first.path.stat().st_mtime_ns == written


def test_a_damaged_note_means_that_it_is_made_again(tmp_path: Path) -> None:
    path = save_convolution(tmp_path)
    first = masked(path)
    first.path.with_suffix(".json").write_text('{"granularity": [1]}')

    assert masked(path) == first


def test_bytes_of_a_picture_are_masked_after_they_are_normalised(tmp_path: Path) -> None:
    graph = Graph()
    pixels = graph.from_bytes("x", [None, None, None, 3], 127.5, 127.5)
    graph.output(convolved(graph, pixels), "y", [None, 4, None, None])
    path = graph.save(tmp_path / "model.onnx")

    form = masked(path, (TensorInfo("x", (None, None, None, 3), "uint8"),))  # it is held against the original

    assert form.picture.axes == (1, 2)
    assert onnx.load(form.path).graph.input[0].type.tensor_type.elem_type == UINT8


@pytest.mark.parametrize("kind", ["GlobalMaxPool", "InstanceNormalization", "linear Resize", "Concat", "AveragePool"])
def test_a_graph_is_refused_where_padding_would_have_a_say(kind: str, tmp_path: Path) -> None:
    graph = Graph()
    x = graph.input("x", PICTURES)
    if kind == "GlobalMaxPool":
        y = graph.op(kind, x)
    elif kind == "InstanceNormalization":
        y = graph.op(kind, x, graph.weight([1.0, 1.0, 1.0]), graph.weight([0.0, 0.0, 0.0]))
    elif kind == "linear Resize":
        y = graph.op("Resize", x, "", graph.weight([1.0, 1.0, 2.0, 2.0]), mode="linear")
    elif kind == "Concat":
        y = graph.op(kind, x, x, axis=3)
    else:
        y = graph.op(kind, x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    graph.output(y, "y", [None, None, None, None])

    with pytest.raises(UnmaskableGraphError, match=kind.split()[-1]):
        masked(graph.save(tmp_path / "model.onnx"))


def test_a_graph_whose_masked_form_gives_other_numbers_is_refused(tmp_path: Path) -> None:
    """Turned around, padding comes first: no operator shows it, the comparison does."""
    graph = Graph()
    ends = (graph.weight([-1]), graph.weight([-(2**31)]), graph.weight([3]), graph.weight([-1]))
    graph.output(graph.op("Slice", graph.input("x", PICTURES), *ends), "y", [None, 3, None, None])

    with pytest.raises(UnmaskableGraphError, match="differ by"):
        masked(graph.save(tmp_path / "model.onnx"))


def test_what_takes_no_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnmaskableGraphError, match="one batch of pictures"):
        masked(save_convolution(tmp_path), (TensorInfo("ids", (None, 77), "int64"),))


def test_a_file_that_is_no_graph_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UnavailableError, match="cannot read the model"):
        masked(path)
