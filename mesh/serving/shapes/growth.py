"""Which axes of a graph's tensors grow with its picture, found by running it at three sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mesh.serving.runtimes.onnxruntime import ReferenceRun
from mesh.serving.runtimes.session import TensorInfo

if TYPE_CHECKING:
    import onnx

SMALL, TALL, WIDE = (64, 96), (160, 96), (64, 224)
"""Rows and columns that are tried; a side that the graph fixes keeps its own."""
ROWS, COLUMNS = 0, 1


class UnmaskableGraphError(Exception):
    """Padding would have a say in what the graph computes; tells by which operator."""


@dataclass(frozen=True)
class Growth:
    """What of a tensor depends on the picture's size.

    Attributes:
        steps: for each axis that grows, by its index: the side that it grows with (0 rows, 1 columns), and how many
            pixels of it one step stands for.
        rank: how many axes it has.
        dtype: NumPy's name.
    """

    steps: Mapping[int, tuple[int, int]]
    rank: int
    dtype: str


@dataclass(frozen=True)
class PictureInput:
    """The one input of a graph.

    Attributes:
        info: as the graph declares it; axis 0 is the batch.
        axes: which of its axes are rows and columns.
    """

    info: TensorInfo
    axes: tuple[int, int]

    @classmethod
    def of(cls, inputs: Sequence[TensorInfo], rows: int | None = None) -> "PictureInput":
        """Of a graph's inputs.

        Args:
            inputs: the graph's.
            rows: the only height that it is given, in pixels; None for any.

        Raises:
            UnmaskableGraphError: the graph does not take a batch of pictures, and nothing else.
        """
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise UnmaskableGraphError("it does not take one batch of pictures")
        info = inputs[0]
        if 3 not in (info.shape[1], info.shape[3]):
            raise UnmaskableGraphError("its input has no axis of three colours")
        axes = (2, 3) if info.shape[1] == 3 else (1, 2)
        known = tuple(rows if axis == axes[0] and rows else size for axis, size in enumerate(info.shape))
        return cls(TensorInfo(info.name, known, info.dtype), axes)

    @property
    def open_sides(self) -> tuple[int, ...]:
        """Which of rows (0) and columns (1) the graph leaves open."""
        return tuple(side for side in (ROWS, COLUMNS) if self.info.shape[self.axes[side]] is None)

    def sized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns, those that the graph fixes as it does."""
        return self.size_of(self.shape(1, size))

    def shape(self, batch: int, size: tuple[int, int]) -> tuple[int, ...]:
        """Of a batch of pictures of (rows, columns); a side that the graph fixes keeps its own."""
        sizes = {0: batch, self.axes[0]: size[0], self.axes[1]: size[1]}
        return tuple(sizes[axis] if known is None else known for axis, known in enumerate(self.info.shape))

    def size_of(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of an array of the input's shape."""
        return shape[self.axes[0]], shape[self.axes[1]]


def growths(model: "onnx.ModelProto", picture: PictureInput) -> dict[str, Growth]:
    """How every tensor of the graph grows. Blocking: a second.

    Raises:
        UnmaskableGraphError: a tensor has another number of axes for another size.
        UnavailableError: the graph does not take pictures of that size.
    """
    small, tall, wide = (_run_all(model, picture, size) for size in (SMALL, TALL, WIDE))
    open_sides = picture.open_sides
    found = {}
    for name, array in small.items():
        steps = {}
        for side, grown, pixels in ((ROWS, tall, TALL), (COLUMNS, wide, WIDE)):
            if side not in open_sides:
                continue
            if grown[name].ndim != array.ndim:
                raise UnmaskableGraphError(f"{name} has another number of axes for another size")
            for axis, (before, after) in enumerate(zip(array.shape, grown[name].shape, strict=True)):
                if after == before:
                    continue
                step = (pixels[side] - SMALL[side]) // (after - before)
                if axis in steps or step < 1 or before * step != SMALL[side] or after * step != pixels[side]:
                    steps[axis] = (side, 0)  # rows and columns in one axis, or no whole steps
                else:
                    steps[axis] = (side, step)
        found[name] = Growth(steps, array.ndim, array.dtype.name)
    return found


def example(picture: PictureInput, batch: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Strokes in rows on light paper, in the values that pictures have: -1 to 1, or bytes."""
    random, size = np.random.default_rng(seed), picture.sized(size)
    drawn = np.full((batch, *size, 3), 0.9, np.float32)
    for top in range(8, size[0] - 12, 24):
        strokes = random.random((batch, 1, -(-size[1] // 3), 1)) < 0.4
        drawn[:, top : top + 12] -= 1.6 * np.repeat(strokes, 3, axis=2)[:, :, : size[1]]
    drawn += random.uniform(-0.1, 0.1, drawn.shape).astype(np.float32)
    if picture.info.dtype == "uint8":
        drawn = drawn * 127.5 + 127.5
    return np.ascontiguousarray(drawn if picture.axes == (1, 2) else drawn.transpose(0, 3, 1, 2)).astype(
        picture.info.dtype
    )


def _run_all(model: "onnx.ModelProto", picture: PictureInput, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Every tensor of the graph for a picture of that size, its input among them."""
    import onnx

    open_graph = onnx.ModelProto()
    open_graph.CopyFrom(model)
    known = {output.name for output in open_graph.graph.output}
    names = [name for node in open_graph.graph.node for name in node.output if name]
    hidden = [name for name in names if name not in known]
    open_graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in hidden)
    fed = example(picture, 1, size)
    arrays = ReferenceRun(open_graph.SerializeToString())({picture.info.name: fed}, names)
    return {picture.info.name: fed, **dict(zip(names, arrays, strict=True))}
