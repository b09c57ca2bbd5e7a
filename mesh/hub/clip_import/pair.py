"""Adapts `eisneim/cn-clip_vit-b-16`: one graph per tower, made by cn-clip's own conversion script.

Inputs `image` float32 [1, 3, 224, 224] and `text` int64 [1, 52], outputs `unnorm_image_features` and
`unnorm_text_features` [1, 512], not normalised, traced for a batch of one.
"""

from dataclasses import dataclass
from pathlib import Path

import structlog

from mesh.hub.clip_import import graph_file, tower
from mesh.hub.clip_import.batch.axis import open_batch_axis
from mesh.hub.clip_import.batch.view import CannotOpenError
from mesh.hub.clip_import.check import agrees
from mesh.hub.clip_import.companions import write_companions
from mesh.hub.layout import MODEL_FILE

log = structlog.get_logger()


def adapt_pair(source: Path, target: Path) -> None:
    """Writes the model's folder `target` from the two files in `source`.

    Raises:
        ValueError: there are not exactly one image and one text graph, or they are not of one model.
    """
    image = _adapt_tower(_only(source, "*.img.*.onnx"), target / "visual", tower.IMAGE)
    text = _adapt_tower(_only(source, "*.txt.*.onnx"), target / "textual", tower.TEXT)
    if image.dimension != text.dimension:
        raise ValueError(f"image vectors have {image.dimension} numbers and text vectors {text.dimension}")
    write_companions(target, dimension=image.dimension, image_size=image.input_size)


@dataclass(frozen=True)
class _Adapted:
    """What the companions of a graph need to know of it: length of its vectors, last axis of its input."""

    dimension: int
    input_size: int


def _adapt_tower(source: Path, folder: Path, name: str) -> _Adapted:
    try:
        result = _convert(source, folder, name, open_batch=True)
        reason = "" if agrees(source, folder / MODEL_FILE) else "an open batch changes its answers"
    except CannotOpenError as obstacle:
        reason = str(obstacle)
    if reason:
        log.warning("graph keeps its batch of one", file=source.name, reason=reason)
        result = _convert(source, folder, name, open_batch=False)
    return result


def _convert(source: Path, folder: Path, name: str, *, open_batch: bool) -> _Adapted:
    model = graph_file.read(source)
    if open_batch:
        open_batch_axis(model, name=tower.BATCH)
    output = model.graph.output[0].name
    dimension = tower.output_width(model, output)
    input_size = int(model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value)
    tower.keep_only(model, output)
    tower.normalise_output(model, dimension)
    if name == tower.TEXT:
        tower.tokens_as_input(model, model.graph.input[0].name)
    else:
        tower.rename_input(model, model.graph.input[0].name, name)
    tower.save(model, folder)
    return _Adapted(dimension, input_size)


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"expected one file {pattern} in {folder}, found {len(found)}")
    return found[0]
