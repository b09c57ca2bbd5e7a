"""The installed package cn-clip: model code, five architectures and tokenizer, imported without torchvision.

cn-clip's `clip` package imports `torchvision.transforms` for one function that an exporter never calls, the image
preprocessing. torchvision has no build for every CPU-only torch, so a stand-in is shown to cn-clip during its import
and taken away again at once: nothing else in the process sees it.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from mesh.core.errors import InvalidInputError, ModelNotFoundError

REMEDY = "install the extra `export`: torch and cn-clip are needed, see docs/models.md"


@dataclass(frozen=True)
class Architecture:
    """One of the official models.

    Attributes:
        name: cn-clip's, e.g. `ViT-B-16`.
        struct: its vision and text configuration, as cn-clip names them.
        checkpoint: name of the official file.
    """

    name: str
    struct: str
    checkpoint: str


ARCHITECTURES: Mapping[str, Architecture] = {
    name: Architecture(name, struct, f"clip_cn_{name.lower()}.pt")
    for name, struct in {
        "ViT-B-16": "ViT-B-16@RoBERTa-wwm-ext-base-chinese",
        "ViT-L-14": "ViT-L-14@RoBERTa-wwm-ext-base-chinese",
        "ViT-L-14-336": "ViT-L-14-336@RoBERTa-wwm-ext-base-chinese",
        "ViT-H-14": "ViT-H-14@RoBERTa-wwm-ext-large-chinese",
        "RN50": "RN50@RBT3-chinese",
    }.items()
}


def configuration(architecture: Architecture) -> dict[str, Any]:
    """The arguments of cn-clip's model class, from the JSON files inside cn-clip."""
    folder = Path(str(package().__file__)).parent / "model_configs"
    merged: dict[str, Any] = {}
    for part in architecture.struct.split("@"):
        merged.update(json.loads((folder / f"{part}.json").read_text("utf-8")))
    if isinstance(merged["vision_layers"], str):
        merged["vision_layers"] = json.loads(merged["vision_layers"])
    return merged


def build_model(config: Mapping[str, Any]) -> Any:
    """cn-clip's model with random weights, float32, in training mode as torch makes it."""
    return package().model.CLIP(**config).float()


def to_half(model: Any) -> None:
    """Weights in half precision, in place; those of the layer normalisations that cn-clip computes in single, stay."""
    model.half()
    for module in model.modules():
        if isinstance(module, package().model.LayerNorm):
            module.float()


def tokenize(texts: list[str]) -> Any:
    """cn-clip's own token ids, an int64 tensor [number of texts, 52]."""
    return package().tokenize(texts)


def load_checkpoint(path: Path, config: Mapping[str, Any]) -> Any:
    """The model of an official checkpoint, float32, in evaluation mode.

    The files hold half-precision weights as `{"state_dict": {"module.<name>": tensor}}`, and a `bert.pooler` that the
    model does not have. Only tensors are read (`weights_only`): a checkpoint cannot run code.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidInputError: it is not such a checkpoint, or one of another architecture.
    """
    import pickle

    import torch

    if not path.is_file():
        raise ModelNotFoundError(f"there is no checkpoint {path}")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InvalidInputError(
            f"{path} is not a checkpoint that torch can read: {str(error).splitlines()[0]}"
        ) from error
    weights = saved.get("state_dict") if isinstance(saved, dict) else None
    if not isinstance(weights, dict):
        raise InvalidInputError(f"{path} has no `state_dict`: it is not an official Chinese-CLIP checkpoint")
    weights = {name.removeprefix("module."): value for name, value in weights.items() if "bert.pooler" not in name}
    model = build_model(config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InvalidInputError(
            f"{path} is of another architecture: {str(error).splitlines()[1].strip()[:200]}"
        ) from error
    return model.eval()


@cache
def package() -> Any:
    """The package `cn_clip.clip`. Raises ModelNotFoundError when it, or what exporting needs beside it, is not
    there."""
    for needed in ("torch", "onnxscript", "cn_clip"):
        if find_spec(needed) is None:
            raise ModelNotFoundError(f"Python package {needed} is not installed here: {REMEDY}")
    if find_spec("torchvision") is not None:
        return importlib.import_module("cn_clip.clip")
    with _stand_in_for_torchvision():
        return importlib.import_module("cn_clip.clip")


@contextmanager
def _stand_in_for_torchvision() -> Iterator[None]:
    names = ("torchvision", "torchvision.transforms")
    transforms = ModuleType(names[1])
    for name in ("Compose", "InterpolationMode", "Normalize", "Resize", "ToTensor"):
        setattr(transforms, name, type(name, (), {}))
    sys.modules.update({names[0]: ModuleType(names[0]), names[1]: transforms})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
