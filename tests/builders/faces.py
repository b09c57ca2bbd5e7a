"""Face models with known answers: shaped like SCRFD and ArcFace, fed like them, but a face is a marker-coloured square.

The detector finds, for each marker colour, the one solid rectangle of that colour and reports it exactly: box, five
landmarks placed in it as in InsightFace's alignment template, and the marker's score. So the aligned crop of a square
is that square, and the recogniser, which answers from the crop's mean colour, gives `face_vector(marker.rgb)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.builders.graph import FLOAT, Dimension, Graph

EMBEDDING_LENGTH = 512
CROP_SIZE = 112
STRIDES = (8, 16, 32)
ANCHORS = 2

TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""InsightFace's landmarks (eyes, nose, corners of the mouth) in a crop of 112 x 112 pixels."""

_OUTPUTS = ("448", "471", "494", "451", "474", "497", "454", "477", "500")
"""Names of det_10g.onnx: scores, boxes and landmarks, each for strides 8, 16, 32."""

_LARGEST_SIDE = {8: 96.0, 16: 320.0, 32: float("inf")}
"""Up to which size, in pixels of the detector's input, a marker shows at that stride."""

_TOLERANCE = 0.35
_MIN_PIXELS = 64.0
_MIN_FILL = 0.8

Vector = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Marker:
    """A colour that stands for a face, and the score the detector gives it."""

    rgb: tuple[int, int, int]
    score: float


MARKERS: Mapping[str, Marker] = {
    "magenta": Marker((255, 0, 255), 0.95),
    "cyan": Marker((0, 255, 255), 0.75),
    "yellow": Marker((255, 255, 0), 0.55),
}
"""At most one rectangle of each colour is found in a photo."""


def write_faces(cache_folder: Path, name: str = "buffalo_l", *, batch: Dimension = "batch") -> Path:
    """Writes detector and recogniser in Immich's layout to `<cache>/facial-recognition/<name>`; returns that folder.

    Args:
        batch: the recogniser's batch axis: a name for a dynamic one, a number for a fixed one.
    """
    folder = cache_folder / "facial-recognition" / name
    detector().save(folder / "detection/model.onnx")
    recogniser(batch).save(folder / "recognition/model.onnx")
    return folder


def write_faces_of_bytes(cache_folder: Path, name: str = "buffalo_l") -> Path:
    """As `write_faces`, with graphs that take bytes, channels last, and normalise by themselves."""
    folder = cache_folder / "facial-recognition" / name
    found, told = Graph(opset=17), Graph(opset=17)
    add_marker_outputs(found, found.from_bytes("image", [1, "height", "width", 3], 127.5, 128))
    found.save(folder / "detection/model.onnx")
    _add_vector(told, told.from_bytes("image", ["batch", CROP_SIZE, CROP_SIZE, 3], 127.5, 127.5), "batch")
    told.save(folder / "recognition/model.onnx")
    return folder


def write_normalising_recogniser(folder: Path) -> None:
    """Puts a recogniser that normalises by itself into a pack, as InsightFace's older ones do: `_minus`, `_mul`."""
    graph = Graph(opset=17)
    crop = graph.input("data", ["batch", 3, CROP_SIZE, CROP_SIZE], FLOAT)
    moved = graph.op("Sub", crop, graph.weight([127.5]), name="_minusscalar0")
    _add_vector(graph, graph.op("Mul", moved, graph.weight([1 / 127.5]), name="_mulscalar0"), "batch")
    graph.save(folder / "recognition/model.onnx")


def write_insightface(cache_folder: Path, name: str = "buffalo_l", *, batch: Dimension = "batch") -> Path:
    """The same two models as files of InsightFace's own folder: `det_10g.onnx` and `w600k_r50.onnx`."""
    folder = cache_folder / "facial-recognition" / name
    detector().save(folder / "det_10g.onnx")
    recogniser(batch).save(folder / "w600k_r50.onnx")
    return folder


def marker_photo(width: int, height: int, boxes: Mapping[str, Box], *, background: int = 96) -> npt.NDArray[np.uint8]:
    """A photo, RGB (height, width, 3): a filled rectangle (x1, y1, x2, y2; the last exclusive) per marker's name."""
    photo = np.full((height, width, 3), background, np.uint8)
    for name, (x1, y1, x2, y2) in boxes.items():
        photo[y1:y2, x1:x2] = MARKERS[name].rgb
    return photo


def face_vector(rgb: tuple[int, int, int]) -> Vector:
    """The recogniser's raw answer, not normalised, to a crop of one colour."""
    return ((np.asarray(rgb) - 127.5) / 127.5 @ _projection()).astype(np.float32)


def recogniser(batch: Dimension = "batch") -> Graph:
    """input.1 float32 [batch, 3, 112, 112], RGB, (x - 127.5) / 127.5 -> 683 float32 [batch, 512]."""
    graph = Graph(opset=17)
    crop = graph.input("input.1", [batch, 3, CROP_SIZE, CROP_SIZE], FLOAT)
    _add_vector(graph, crop, batch)
    return graph


def _add_vector(graph: Graph, crop: str, batch: Dimension) -> None:
    mean = graph.op("ReduceMean", crop, axes=[2, 3], keepdims=0)
    graph.output(graph.op("MatMul", mean, graph.weight(_projection())), "683", [batch, EMBEDDING_LENGTH])


def detector() -> Graph:
    """input.1 float32 [1, 3, H, W], RGB, (x - 127.5) / 128 -> nine outputs, as det_10g.onnx has them."""
    graph = Graph(opset=17)
    photo = graph.input("input.1", [1, 3, "height", "width"], FLOAT)
    add_marker_outputs(graph, photo)
    return graph


def add_marker_outputs(graph: Graph, photo: str, extra: Mapping[int, str] | None = None) -> None:
    """Adds the nine outputs to a graph.

    Args:
        photo: the preprocessed photo, [1, 3, H, W].
        extra: for a stride, a tensor of one number that is added to its scores: ties a real backbone's work to them.
    """
    found = [_find_marker(graph, photo, marker) for marker in MARKERS.values()]
    maps = {stride: _maps(graph, photo, found, stride) for stride in STRIDES}
    for stride, tensor in (extra or {}).items():
        maps[stride][0] = graph.op("Add", maps[stride][0], tensor)
    tensors = [maps[stride][kind] for kind in range(3) for stride in STRIDES]
    for tensor, name, width in zip(tensors, _OUTPUTS, (1, 1, 1, 4, 4, 4, 10, 10, 10), strict=True):
        graph.output(tensor, name, [f"anchors_{name}", width])


@dataclass(frozen=True)
class _Found:
    """One marker as scalars of the graph; edges in pixels of the detector's input, score 0 where there is none."""

    x1: str
    y1: str
    x2: str
    y2: str
    score: str


def _find_marker(graph: Graph, photo: str, marker: Marker) -> _Found:
    colour = (np.asarray(marker.rgb, np.float32).reshape(1, 3, 1, 1) - 127.5) / 128
    distance = graph.op("ReduceMax", graph.op("Abs", graph.op("Sub", photo, graph.weight(colour))), axes=[1])
    inside = graph.op("Less", distance, graph.weight(np.float32(_TOLERANCE).reshape(())))
    mask = graph.op("Squeeze", graph.op("Cast", inside, to=FLOAT), graph.weight([0, 1]))
    x1, x2 = _edges(graph, graph.op("ReduceMax", mask, axes=[0], keepdims=0))
    y1, y2 = _edges(graph, graph.op("ReduceMax", mask, axes=[1], keepdims=0))
    pixels = graph.op("ReduceSum", mask, keepdims=0)
    area = graph.op("Mul", graph.op("Sub", x2, x1), graph.op("Sub", y2, y1))
    solid = graph.op("Greater", pixels, graph.op("Mul", area, _scalar(graph, _MIN_FILL)))
    large = graph.op("Greater", pixels, _scalar(graph, _MIN_PIXELS))
    present = graph.op("Cast", graph.op("And", solid, large), to=FLOAT)
    return _Found(x1, y1, x2, y2, graph.op("Mul", present, _scalar(graph, marker.score)))


def _edges(graph: Graph, profile: str) -> tuple[str, str]:
    """First and one past the last index of a profile of zeros and ones."""
    first = graph.op("Cast", graph.op("ArgMax", profile, axis=0, keepdims=0), to=FLOAT)
    last = graph.op("Cast", graph.op("ArgMax", profile, axis=0, keepdims=0, select_last_index=1), to=FLOAT)
    return first, graph.op("Add", last, _scalar(graph, 1.0))


def _maps(graph: Graph, photo: str, found: list[_Found], stride: int) -> list[str]:
    """Scores [n, 1], box distances [n, 4] and landmark offsets [n, 10] of one stride, the latter two in strides."""
    columns = _cells(graph, photo, axis=3, stride=stride, shape=[1, -1])
    rows = _cells(graph, photo, axis=2, stride=stride, shape=[-1, 1])
    per_marker = [_layers(graph, one, columns, rows, stride) for one in found]
    totals = [graph.op("Sum", *layers) for layers in zip(*per_marker, strict=True)]
    return [
        _per_anchor(graph, totals[:1]),
        _per_anchor(graph, totals[1:5]),
        _per_anchor(graph, totals[5:]),
    ]


def _cells(graph: Graph, photo: str, *, axis: int, stride: int, shape: list[int]) -> str:
    """Numbers of the stride's cells along one axis of the photo."""
    length = graph.op("Gather", graph.op("Shape", photo), graph.weight(np.int64(axis).reshape(())), axis=0)
    count = graph.op("Div", length, graph.weight(np.int64(stride).reshape(())))
    zero, one = (graph.weight(np.int64(number).reshape(())) for number in (0, 1))
    numbers = graph.op("Cast", graph.op("Range", zero, count, one), to=FLOAT)
    return graph.op("Reshape", numbers, graph.weight(shape))


def _layers(graph: Graph, one: _Found, columns: str, rows: str, stride: int) -> list[str]:
    """Fifteen maps [rows, columns], zero but in the marker's cell: score, four distances, ten landmark offsets."""
    size = _scalar(graph, float(stride))
    width, height = graph.op("Sub", one.x2, one.x1), graph.op("Sub", one.y2, one.y1)
    here = _cell_of_centre(graph, one.x1, width, columns, size)
    here = graph.op("And", here, _cell_of_centre(graph, one.y1, height, rows, size))
    here = graph.op("And", here, _shows_at(graph, graph.op("Max", width, height), stride))
    hit = graph.op("Cast", graph.op("And", here, graph.op("Greater", one.score, _scalar(graph, 0.0))), to=FLOAT)

    def offset(edge: str, cells: str) -> str:
        return graph.op("Mul", graph.op("Sub", graph.op("Div", edge, size), cells), hit)

    def inside(start: str, length: str, share: float) -> str:
        return graph.op("Add", start, graph.op("Mul", length, _scalar(graph, share / CROP_SIZE)))

    distances = [
        graph.op("Neg", offset(one.x1, columns)),
        graph.op("Neg", offset(one.y1, rows)),
        offset(one.x2, columns),
        offset(one.y2, rows),
    ]
    landmarks: list[str] = []
    for x, y in TEMPLATE:
        landmarks.append(offset(inside(one.x1, width, x), columns))
        landmarks.append(offset(inside(one.y1, height, y), rows))
    return [graph.op("Mul", hit, one.score), *distances, *landmarks]


def _cell_of_centre(graph: Graph, start: str, length: str, cells: str, size: str) -> str:
    """Where the cell's number is that of the centre, clipped to the last cell."""
    centre = graph.op("Add", start, graph.op("Mul", length, _scalar(graph, 0.5)))
    number = graph.op("Floor", graph.op("Div", centre, size))
    return graph.op("Equal", cells, graph.op("Min", number, graph.op("ReduceMax", cells, keepdims=0)))


def _shows_at(graph: Graph, side: str, stride: int) -> str:
    smallest = 0.0 if stride == STRIDES[0] else _LARGEST_SIDE[stride // 2]
    above = graph.op("Greater", side, _scalar(graph, smallest))
    return graph.op("And", above, graph.op("LessOrEqual", side, _scalar(graph, _LARGEST_SIDE[stride])))


def _per_anchor(graph: Graph, layers: list[str]) -> str:
    """Maps [rows, columns] -> [rows * columns * 2, maps]: a cell's first anchor has them, its second zeros."""
    stacked = graph.op("Concat", *(graph.op("Unsqueeze", layer, graph.weight([2])) for layer in layers), axis=2)
    nothing = graph.op("Mul", stacked, _scalar(graph, 0.0))
    both = graph.op("Concat", stacked, nothing, axis=2)
    return graph.op("Reshape", both, graph.weight([-1, len(layers)]))


def _scalar(graph: Graph, value: float) -> str:
    return graph.weight(np.array(value, np.float32))


def _projection() -> Vector:
    """Mean colour to embedding, [3, 512]; rows orthogonal, of length 20, about that of real ArcFace vectors."""
    random = np.random.default_rng(9).standard_normal((EMBEDDING_LENGTH, 3))
    return (20 * np.linalg.qr(random)[0].T).astype(np.float32)
