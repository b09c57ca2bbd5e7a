"""The masked form of a graph: made once, held against the original, kept beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from mesh.core.errors import UnavailableError
from mesh.serving.runtimes.compiled import CompiledFiles
from mesh.serving.runtimes.onnxruntime import ReferenceRun
from mesh.serving.runtimes.session import Array, axis_name, first_line
from mesh.serving.shapes.growth import COLUMNS, ROWS, Growth, PictureInput, UnmaskableGraphError, example, growths
from mesh.serving.shapes.masked import MASK, mask

if TYPE_CHECKING:
    import onnx

log = structlog.get_logger()

FORM = "masked 1"
"""Changes whenever graphs are written in another way."""
TOLERANCE = 1e-3
"""What outputs may differ by, as a part of the largest."""
Size = tuple[int, int]
"""Rows and columns, in pixels."""


@dataclass(frozen=True)
class MaskedGraph:
    """A graph that padding has no say in.

    Attributes:
        path: its .onnx file, with `MASK` as the second input; the original where that leaves no side open, so that
            there is nothing to pad but its batches.
        picture: its first input, as the original has it.
        granularity: pixels of rows and of columns in one step of the mask; 0 for a side that is fixed.
        outputs: of each output the axes that grow: side and pixels per step, by index.
    """

    path: Path
    picture: PictureInput
    granularity: Size
    outputs: tuple[Mapping[int, tuple[int, int]], ...]

    @property
    def takes_mask(self) -> bool:
        """Whether it has the second input."""
        return any(self.granularity)

    def filled(self, size: Size) -> Size:
        """The size in whole steps of the mask, no smaller."""
        rows, columns = (
            math.ceil(side / step) * step if step else side for side, step in zip(size, self.granularity, strict=True)
        )
        return rows, columns

    def steps(self, size: Size) -> Size:
        """Steps of the mask for so many pixels."""
        rows, columns = (
            math.ceil(side / step) if step else 1 for side, step in zip(size, self.granularity, strict=True)
        )
        return rows, columns

    def masks(self, sizes: Sequence[Size], whole: Size, batch: int) -> Array:
        """The second input for pictures of these sizes in a batch of so many; the rest of the batch is all picture."""
        masks = np.ones((batch, 1, *self.steps(whole)), np.float32)
        for index, size in enumerate(sizes):
            rows, columns = self.steps(size)
            masks[index, :, rows:] = 0
            masks[index, :, :, columns:] = 0
        return masks

    def cropped(self, output: Array, number: int, index: int, size: Size) -> Array:
        """What the original gives for one picture alone, with a batch axis of 1.

        Args:
            output: of a whole batch.
            number: which output.
            index: which picture.
            size: the picture's.
        """
        places = [slice(None)] * output.ndim
        places[0] = slice(index, index + 1)
        for axis, (side, step) in self.outputs[number].items():
            places[axis] = slice(0, self.filled(size)[side] // step)
        return output[tuple(places)]


def masked_graph(graph: Path, cache_folder: Path, picture: PictureInput) -> MaskedGraph:
    """The masked form of a graph that leaves a side open. Blocking: seconds when it is made, which is once.

    Args:
        graph: its .onnx file.
        cache_folder: of all models.
        picture: its input.

    Raises:
        UnmaskableGraphError: there is none, or it cannot be kept.
        UnavailableError: the graph cannot be read.
    """
    files = CompiledFiles(graph, cache_folder)
    target = files.path("onnx", FORM, str(picture.info.shape))
    noted = files.noted(target.with_suffix(".json")) if target.exists() else None
    if noted is not None and (known := _read(target, picture, noted)) is not None:
        return known
    import onnx

    try:
        model = onnx.load(str(graph))
    except Exception as error:
        # protobuf's own error for a damaged file, OSError for one that is gone.
        raise UnavailableError(f"cannot read the model {graph}: {first_line(error)}") from error
    growth = growths(model, picture)
    made = MaskedGraph(
        target, picture, _granularity(growth), tuple(growth[one.name].steps for one in model.graph.output)
    )
    mask(model, growth, made.granularity)
    _name_axes(model)
    _hold_against(graph, model, made)
    content = {"granularity": made.granularity, "outputs": made.outputs}

    def write(path: Path) -> None:
        onnx.save_model(model, str(path))
        path.with_suffix(".bin").touch()  # `make` wants a companion; the weights lie in the file itself

    if not files.make(target, write, ".bin"):
        raise UnmaskableGraphError(f"the folder {target.parent} cannot be written")
    files.note(target.with_suffix(".json"), content)
    log.info("graph masked: padding has no say in it", graph=str(graph), granularity=made.granularity)
    return made


def _read(path: Path, picture: PictureInput, noted: Mapping[str, Any]) -> MaskedGraph | None:
    """From the note beside the file; None where it is not whole."""
    try:
        rows, columns = noted["granularity"]
        outputs = tuple({int(axis): (side, step) for axis, (side, step) in one.items()} for one in noted["outputs"])
    except (KeyError, TypeError, ValueError):
        return None
    return MaskedGraph(path, picture, (rows, columns), outputs)


def _granularity(growth: Mapping[str, Growth]) -> Size:
    rows, columns = (
        math.lcm(*(step for one in growth.values() for at, step in one.steps.values() if at == side and step))
        if any(at == side for one in growth.values() for at, _ in one.steps.values())
        else 0
        for side in (ROWS, COLUMNS)
    )
    return rows, columns


def _name_axes(model: "onnx.ModelProto") -> None:
    """Open axes get names of their own, by which a session is opened for one shape."""
    for tensor in model.graph.input:
        for axis, dimension in enumerate(tensor.type.tensor_type.shape.dim):
            if dimension.dim_value < 1:
                dimension.dim_param = axis_name(tensor.name, axis)
    for tensor in model.graph.output:
        tensor.type.tensor_type.ClearField("shape")  # of the original, in whose names inputs are no more


def _hold_against(graph: Path, model: "onnx.ModelProto", made: MaskedGraph) -> None:
    """Runs two pictures among noise, in one batch, against each alone in the original."""
    original, masked = ReferenceRun(graph), ReferenceRun(model.SerializeToString())
    name, known = made.picture.info.name, made.picture.info.shape
    sizes = [made.filled(made.picture.sized(size)) for size in ((70, 150), (130, 60))]
    whole = made.filled(made.picture.sized((190, 230)))
    together = known[0] is None
    for batch in [sizes] if together else [[size] for size in sizes]:
        fed = example(made.picture, len(batch), whole, seed=1)
        alone = []
        for index, size in enumerate(batch):
            place = [slice(index, index + 1), *[slice(None)] * 3]
            place[made.picture.axes[0]], place[made.picture.axes[1]] = slice(0, size[0]), slice(0, size[1])
            fed[tuple(place)] = example(made.picture, 1, size, seed=2)
            alone.append(original({name: fed[tuple(place)]}))
        outputs = masked({name: fed, MASK: made.masks(batch, whole, len(batch))})
        for number, output in enumerate(outputs):
            for index, size in enumerate(batch):
                _compare(alone[index][number], made.cropped(output, number, index, size))


def _compare(wanted: Array, given: Array) -> None:
    if wanted.shape != given.shape:
        raise UnmaskableGraphError(f"masked, it gives {given.shape} in place of {wanted.shape}")
    if np.issubdtype(wanted.dtype, np.integer):
        differs = 0.0 if np.array_equal(wanted, given) else np.inf
    else:
        differs = float(np.abs(wanted - given).max() / max(float(np.abs(wanted).max()), 1e-6))
    if not differs <= TOLERANCE:
        raise UnmaskableGraphError(f"masked, its outputs differ by {differs:.2g} of the largest")
