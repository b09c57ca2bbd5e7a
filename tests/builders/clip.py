"""A CLIP model with known answers in Immich's layout, with cn-clip's real tokenizer and preprocessing.

An image's embedding depends on its mean colour alone, a text's on its tokens alone; 红, 绿 and 蓝 (and red, green,
blue) point where a red, green or blue photo points, so a search by colour finds its photo.
"""

import json
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.builders.graph import FLOAT, INT32, INT64, Dimension, Graph

CLIP_DIMENSION = 512
CONTEXT_LENGTH = 52
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

_FEATURES = 8
_VOCABULARY = 21128
_SILENT_TOKENS = (0, 101, 102)  # [PAD], [CLS], [SEP]
_COLOUR_TOKENS = {5273: 0, 5344: 1, 5905: 2, 9276: 0, 9631: 1, 9036: 2}
"""Token id -> channel: 红 绿 蓝 red green blue. `tests/unit/mesh/hub` checks them against the tokenizer."""

Vector = npt.NDArray[np.float32]


def write_clip(
    cache_folder: Path,
    name: str = "ViT-B-16__cn-clip",
    *,
    dimension: int = CLIP_DIMENSION,
    image_size: int = 32,
    batch: Dimension = "batch",
    token_kind: int = INT64,
    normalised: bool = True,
) -> Path:
    """Writes the model to `<cache>/clip/<name>`.

    Args:
        batch: a name for a dynamic batch axis, a number for a fixed one.
        token_kind: INT64 or INT32 from `tests.builders.graph`.
        normalised: whether the graphs end in an L2 normalisation, as ours do and Immich's do; eisneim's do not.

    Returns:
        The model's folder.
    """
    folder = cache_folder / "clip" / name
    visual(dimension, image_size, batch, normalised=normalised).save(folder / "visual/model.onnx")
    textual(dimension, batch, token_kind, normalised=normalised).save(folder / "textual/model.onnx")
    _write_json(
        folder / "visual/preprocess_cfg.json",
        {
            "size": image_size,
            "mode": "RGB",
            "mean": MEAN,
            "std": STD,
            "interpolation": "bicubic",
            "resize_mode": "squash",
            "fill_color": 0,
        },
    )
    shutil.copyfile(str(files("mesh.hub.clip_import") / "tokenizer.json"), folder / "textual/tokenizer.json")
    _write_json(folder / "textual/tokenizer_config.json", {"pad_token": "[PAD]", "model_max_length": CONTEXT_LENGTH})
    _write_json(
        folder / "config.json",
        {
            "embed_dim": dimension,
            "vision_cfg": {"image_size": image_size},
            "text_cfg": {"context_length": CONTEXT_LENGTH, "vocab_size": _VOCABULARY},
        },
    )
    return folder


def visual(dimension: int, image_size: int, batch: Dimension, *, normalised: bool = True) -> Graph:
    """image float32 [batch, 3, size, size], preprocessed -> embedding float32 [batch, dimension]."""
    graph = Graph()
    image = graph.input("image", [batch, 3, image_size, image_size], FLOAT)
    mean = graph.op("ReduceMean", image, axes=[2, 3], keepdims=0)
    colour = graph.op("Add", graph.op("Mul", mean, graph.weight(list(STD))), graph.weight(list(MEAN)))
    centred = graph.op("Sub", colour, graph.weight([0.5]))
    embedding = graph.op("MatMul", centred, graph.weight(_projection(dimension)[:3]))
    graph.output(_finish(graph, embedding, normalised), "embedding", [batch, dimension])
    return graph


def write_visual_of_bytes(folder: Path, *, dimension: int = CLIP_DIMENSION, side: int | None = 32) -> None:
    """Puts an image encoder into a model's folder that takes bytes, channels last; any size for a `side` of None."""
    graph = Graph()
    shape: list[Dimension] = ["batch", side or "height", side or "width", 3]
    mean = graph.op("ReduceMean", graph.from_bytes("image", shape, 0, 255), axes=[2, 3], keepdims=0)
    centred = graph.op("Sub", mean, graph.weight([0.5]))
    embedding = graph.op("MatMul", centred, graph.weight(_projection(dimension)[:3]))
    graph.output(_finish(graph, embedding, normalised=True), "embedding", ["batch", dimension])
    graph.save(folder / "visual/model.onnx")


def textual(dimension: int, batch: Dimension, token_kind: int, *, normalised: bool = True) -> Graph:
    """text int32 or int64 [batch, 52] -> embedding float32 [batch, dimension]."""
    if token_kind not in (INT32, INT64):
        raise ValueError("tokens are INT32 or INT64")
    graph = Graph()
    text = graph.input("text", [batch, CONTEXT_LENGTH], token_kind)
    features = graph.op("Gather", graph.weight(_token_features()), text, axis=0)
    total = graph.op("ReduceSum", features, graph.weight([1]), keepdims=0)
    embedding = graph.op("MatMul", total, graph.weight(_projection(dimension)))
    graph.output(_finish(graph, embedding, normalised), "embedding", [batch, dimension])
    return graph


def clip_image_vector(mean_rgb: Sequence[float], dimension: int = CLIP_DIMENSION) -> Vector:
    """The embedding of a photo whose mean colour is `mean_rgb` (0 to 255 per channel), L2-normalised."""
    centred = (np.asarray(mean_rgb) / 255 - 0.5).astype(np.float32)
    return _normalise(centred @ _projection(dimension)[:3])


def clip_text_vector(token_ids: Sequence[int], dimension: int = CLIP_DIMENSION) -> Vector:
    """The embedding of a text with these token ids, L2-normalised."""
    return _normalise(_token_features()[list(token_ids)].sum(axis=0) @ _projection(dimension))


def _finish(graph: Graph, embedding: str, normalised: bool) -> str:
    return graph.op("LpNormalization", embedding, axis=-1, p=2) if normalised else embedding


def _projection(dimension: int) -> Vector:
    """Orthonormal rows, [8, dimension]."""
    random = np.random.default_rng(7).standard_normal((dimension, _FEATURES))
    return np.linalg.qr(random)[0].T.astype(np.float32)


def _token_features() -> Vector:
    """What each token adds, [21128, 8]; nothing for the special ones, one colour for the colour words."""
    features = np.random.default_rng(8).standard_normal((_VOCABULARY, _FEATURES)).astype(np.float32)
    features[list(_SILENT_TOKENS)] = 0
    for token, channel in _COLOUR_TOKENS.items():
        features[token] = 0
        features[token, :3] = -0.5
        features[token, channel] = 0.5
    return features


def _normalise(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return (vector / length if length else vector).astype(np.float32)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), "utf-8")
