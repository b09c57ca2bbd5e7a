"""What a graph wants to see of a photo: its input's type and shape say it.

Most graphs take normalised floats, channels first. Some normalise by themselves, as InsightFace's older ArcFace packs
and the graphs of Immich's next machine-learning server do. Those take bytes, channels first or last, and where they
leave the size open, they scale and crop too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mesh.serving.images import Pixels
from mesh.serving.images.transform import to_tensor
from mesh.serving.runtimes.session import Array, TensorInfo

_HEAD_BYTES = 1 << 20
_FIRST_NODES = 8
"""InsightFace looks at so many nodes for those that subtract and multiply."""

_GRAPH, _NODE, _NAME = 7, 1, 3
"""Fields of ONNX's ModelProto, GraphProto and NodeProto."""


@dataclass(frozen=True)
class ImageInput:
    """The image input of a graph.

    Attributes:
        name: as the graph names it.
        rows, columns: of the picture that it takes; None where it is left open.
        dtype: NumPy's name.
        channels_last: shape (1, rows, columns, 3) instead of (1, 3, rows, columns).
        normalises: the graph wants values of 0 to 255 and does the rest by itself.
    """

    name: str
    rows: int | None
    columns: int | None
    dtype: str
    channels_last: bool
    normalises: bool

    @classmethod
    def of(cls, info: TensorInfo, graph: Path | None = None) -> "ImageInput":
        """From a graph's input, and its file where that may say that it normalises."""
        shape = info.shape if len(info.shape) == 4 else (None, 3, None, None)
        channels_last = shape[3] == 3 and shape[1] != 3
        rows, columns = shape[1:3] if channels_last else shape[2:4]
        takes_bytes = info.dtype == "uint8"
        normalises = takes_bytes or (graph is not None and normalises_first(graph))
        return cls(info.name, rows, columns, info.dtype, channels_last, normalises)

    @property
    def scales(self) -> bool:
        """Whether the graph takes a photo of any size and fits it by itself."""
        return self.dtype == "uint8" and self.rows is None and self.columns is None

    def axes(self, side: int) -> dict[int, int]:
        """Usual size of the open axes, by index, for calibration."""
        return {1: side, 2: side} if self.channels_last else {2: side, 3: side}

    def feed(self, pixels: Pixels, mean: float, std: float) -> dict[str, Array]:
        """The graph's input for a picture of shape (rows, columns, 3); `mean` and `std` where it wants them."""
        tensor = self.raw(pixels) if self.normalises else to_tensor(pixels, mean, std)
        if not self.normalises and self.channels_last:
            tensor = tensor.transpose(0, 2, 3, 1)
        return {self.name: np.ascontiguousarray(tensor).astype(self.dtype, copy=False)}

    def raw(self, pixels: Pixels) -> Array:
        """The picture as it is, with a batch axis, in the input's layout."""
        return (pixels if self.channels_last else pixels.transpose(2, 0, 1))[np.newaxis]


def normalises_first(graph: Path) -> bool:
    """Whether a graph begins by subtracting and multiplying, by InsightFace's rule: the names of its first nodes.

    Reads the head of the file alone: nodes stand before weights.
    """
    with graph.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    names = [name for _, name in zip(range(_FIRST_NODES), _node_names(head), strict=False)]
    return any(name.startswith(("Sub", "_minus")) for name in names) and any(
        name.startswith(("Mul", "_mul")) for name in names
    )


def _node_names(head: bytes) -> Iterator[str]:
    """Names of a graph's nodes, as far as the head of its file goes."""
    for number, start, _ in _fields(head, 0, len(head)):
        if number != _GRAPH:
            continue
        for field, first, last in _fields(head, start, len(head)):
            if field != _NODE:
                return
            yield next((head[a:b].decode(errors="replace") for n, a, b in _fields(head, first, last) if n == _NAME), "")


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Fields of a protobuf message: number, and where the value begins and ends; ends where the data breaks off."""
    while start < end:
        key, start = _varint(data, start)
        kind = key & 7
        if kind == 2:
            length, start = _varint(data, start)
        elif kind == 0:
            length = _varint(data, start)[1] - start
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            return
        yield key >> 3, start, min(start + length, end)
        start += length


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """A number, and where the next byte is; 0 at the end of the data."""
    value = shift = 0
    while start < len(data):
        byte = data[start]
        value |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return value, start
    return 0, len(data)
