"""What a graph wants to see of a photo is read from its input and from the names of its first nodes."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from mesh.serving.image_input import ImageInput, normalises_first
from mesh.serving.runtimes.session import TensorInfo
from tests.builders.graph import FLOAT, Graph

PIXELS = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)


def graph(*names: str, path: Path) -> Path:
    """A graph of multiplications called so, after one large weight."""
    built = Graph()
    tensor = built.input("data", [1, 3, 2, 4], FLOAT)
    big = built.weight(np.ones((1, 3, 1000, 1000), np.float32))
    factor = built.op("ReduceMean", big, axes=[1, 2, 3], keepdims=1, name="mean")
    for name in names:
        tensor = built.op("Mul", tensor, factor, name=name)
    built.output(tensor, "out", [1, 3, 2, 4])
    built.save(path)
    return path


@pytest.mark.parametrize(
    ("names", "normalises"),
    [
        (("_minusscalar0", "_mulscalar0", "conv0"), True),
        (("Sub_0", "Mul_1"), True),
        (("Sub_0", "Conv_1"), False),
        (("Conv_0", "Mul_1"), False),
        (("Conv_0", "Relu_1", "Add", "Conv_2", "Conv_3", "Conv_4", "Conv_5", "Sub_6", "Mul_7"), False),
        ((), False),
    ],
)
def test_first_nodes_tell_whether_a_graph_normalises(names: tuple[str, ...], normalises: bool, tmp_path: Path) -> None:
    path = graph(*names, path=tmp_path / "model.onnx")
    assert normalises_first(path) is normalises
    # InsightFace's own rule, on what it reads itself.
    first = [node.name for node in onnx.load(path).graph.node[:8]]
    subtracts = any(name.startswith(("Sub", "_minus")) for name in first)
    multiplies = any(name.startswith(("Mul", "_mul")) for name in first)
    assert normalises is (subtracts and multiplies)


@pytest.mark.parametrize("end", [0, 1, 3, 20, 200])
def test_a_file_that_breaks_off_normalises_nothing(end: int, tmp_path: Path) -> None:
    path = graph("Conv_0", path=tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes()[:end])
    assert not normalises_first(path)


def test_floats_are_normalised_and_channels_first() -> None:
    wanted = ImageInput.of(TensorInfo("x", (None, 3, 2, 4), "float32"))
    (tensor,) = wanted.feed(PIXELS, 127.5, 128.0).values()
    assert (tensor.shape, str(tensor.dtype)) == ((1, 3, 2, 4), "float32")
    np.testing.assert_allclose(tensor[0, 1], (PIXELS[:, :, 1] - 127.5) / 128, atol=1e-6)


@pytest.mark.parametrize("shape", [(None, 3, None, None), (None, None, None, 3), (1, 3, 2, 4), (1, 2, 4, 3)])
def test_bytes_are_passed_on_in_the_layout_of_the_input(shape: tuple[int | None, ...]) -> None:
    wanted = ImageInput.of(TensorInfo("x", shape, "uint8"))
    (tensor,) = wanted.feed(PIXELS, 127.5, 128.0).values()
    assert str(tensor.dtype) == "uint8"
    assert wanted.scales is (None in shape[1:])
    found = tensor[0] if wanted.channels_last else tensor[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(found, PIXELS)


def test_floats_of_a_graph_that_normalises_are_plain(tmp_path: Path) -> None:
    path = graph("_minusscalar0", "_mulscalar0", path=tmp_path / "model.onnx")
    wanted = ImageInput.of(TensorInfo("data", (1, 3, 2, 4), "float32"), path)
    (tensor,) = wanted.feed(PIXELS, 127.5, 128.0).values()
    np.testing.assert_array_equal(tensor[0].transpose(1, 2, 0), PIXELS.astype(np.float32))
