"""Adapts `Xenova/chinese-clip-vit-*`: one graph of both towers, made by Optimum of the `transformers` model.

Inputs `input_ids`, `attention_mask` (and perhaps `token_type_ids`) int64 [text batch, length] and `pixel_values`
float32 [image batch, 3, height, width]; outputs `logits_per_image`, `logits_per_text`, `text_embeds`, `image_embeds`.
"""

import json
from pathlib import Path

import onnx

from mesh.hub.clip_import import graph_file, tower
from mesh.hub.clip_import.companions import MEAN, STD, write_companions


def adapt_joint(source: Path, target: Path) -> None:
    """Writes the model's folder `target` from `onnx/model.onnx` and `preprocessor_config.json` in `source`.

    Raises:
        ValueError: the graph has other inputs or outputs, or its towers need each other's input.
    """
    settings = json.loads((source / "preprocessor_config.json").read_text("utf-8"))
    image_size = _size(settings)
    dimension = _visual(source / "onnx/model.onnx", target / "visual", image_size)
    _textual(source / "onnx/model.onnx", target / "textual", dimension)
    write_companions(
        target,
        dimension=dimension,
        image_size=image_size,
        mean=settings.get("image_mean", MEAN),
        std=settings.get("image_std", STD),
    )


def _visual(path: Path, folder: Path, image_size: int) -> int:
    model = _cut(path, "image_embeds", {"pixel_values"})
    dimension = tower.output_width(model, "image_embeds")
    tower.rename_input(model, "pixel_values", tower.IMAGE)
    tower.set_shape(model.graph.input[0], [tower.BATCH, 3, image_size, image_size])
    tower.set_shape(model.graph.output[0], [tower.BATCH, dimension])
    tower.normalise_output(model, dimension)
    tower.save(model, folder)
    return dimension


def _textual(path: Path, folder: Path, dimension: int) -> None:
    model = _cut(path, "text_embeds", {"input_ids", "attention_mask", "token_type_ids"})
    inputs = {value.name for value in model.graph.input}
    tower.set_shape(model.graph.output[0], [tower.BATCH, dimension])
    tower.normalise_output(model, dimension)
    tower.tokens_as_input(
        model,
        "input_ids",
        mask="attention_mask" if "attention_mask" in inputs else None,
        types="token_type_ids" if "token_type_ids" in inputs else None,
    )
    tower.save(model, folder)


def _cut(path: Path, output: str, allowed: set[str]) -> onnx.ModelProto:
    """One tower of the graph. Loaded anew for each, so that never both are in memory."""
    model = graph_file.read(path)
    if output not in {value.name for value in model.graph.output}:
        raise ValueError(f"{path} has no output {output}")
    tower.keep_only(model, output)
    if foreign := {value.name for value in model.graph.input} - allowed:
        raise ValueError(f"{output} of {path} needs {', '.join(sorted(foreign))} too")
    return model


def _size(settings: dict[str, object]) -> int:
    """Width and height of the input in pixels; the file has it under one of several names."""
    for given in (settings.get("crop_size"), settings.get("size")):
        sizes = given.values() if isinstance(given, dict) else [given]
        for size in sizes:
            if isinstance(size, int):
                return size
    raise ValueError("preprocessor_config.json has no size")
