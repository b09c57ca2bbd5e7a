"""From an official Chinese-CLIP checkpoint to a verified model in Immich's layout."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mesh.core.errors import InvalidInputError
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.hub.clip_export import cn_clip
from mesh.hub.clip_export.cn_clip import ARCHITECTURES, Architecture
from mesh.hub.clip_export.tokenizer import shipped_file
from mesh.hub.clip_import.companions import write_companions
from mesh.hub.fetch.fetching import STAGING_FOLDER


@dataclass
class Export:
    """What was made.

    Attributes:
        folder: the model's, in the cache.
        cosines: graph -> smallest cosine between ONNX and torch.
        strings: how many strings the tokenizer was compared on.
    """

    folder: Path
    cosines: dict[str, float] = field(default_factory=dict)
    strings: int = 0


def architecture(name: str) -> Architecture:
    """The architecture of `cn-clip/ViT-B-16`, `ViT-B-16__cn-clip` or `ViT-B-16`. Raises InvalidInputError."""
    short = name.removeprefix("cn-clip/").removesuffix("__cn-clip")
    if short not in ARCHITECTURES:
        raise InvalidInputError(
            f"{name!r} cannot be exported: choose one of {', '.join(f'cn-clip/{n}' for n in ARCHITECTURES)}"
        )
    return ARCHITECTURES[short]


def export(
    chosen: Architecture,
    checkpoint: Path,
    cache_folder: Path,
    *,
    fp16: bool = False,
    tell: Callable[[str], None] = lambda step: None,
) -> Export:
    """Writes the model to `<cache>/clip/<name>__cn-clip`, verified against torch before it appears there.

    Args:
        checkpoint: the official file, e.g. `clip_cn_vit-b-16.pt`, or one trained with cn-clip's code.
        fp16: also write half-precision graphs beside the others, for GPUs.
        tell: hears of each step.

    Raises:
        InvalidInputError: the checkpoint is not one of this architecture, or the model is already in the cache.
        ModelNotFoundError: no checkpoint there, or torch or cn-clip is not installed.
        NotEqualError: the result does not answer like torch; nothing is kept.
    """
    cn_clip.package()
    target = layout.model_folder(cache_folder, Family.CLIP, f"{chosen.name}__cn-clip")
    if target.exists():
        raise InvalidInputError(f"{target} is already there: move it away to export anew")
    staging = cache_folder / STAGING_FOLDER / "export" / target.name
    shutil.rmtree(staging, ignore_errors=True)
    result = Export(target)
    try:
        tell(f"reading {checkpoint.name}")
        config = cn_clip.configuration(chosen)
        export_model(cn_clip.load_checkpoint(checkpoint, config), staging, result, fp16=fp16, tell=tell)
        write_companions(staging, dimension=config["embed_dim"], image_size=config["image_resolution"])
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return result


def export_model(model: Any, folder: Path, result: Export, *, fp16: bool, tell: Callable[[str], None]) -> None:
    """Writes and verifies the graphs of a model in evaluation mode. Half precision comes last: it changes the model."""
    from mesh.hub.clip_export import verify
    from mesh.hub.clip_export.towers import ImageTower, TextTower, write_onnx

    image, text = ImageTower(model).eval(), TextTower(model).eval()
    for part, module in (("visual", image), ("textual", text)):
        tell(f"converting the {part} part")
        write_onnx(module, folder / part / layout.MODEL_FILE)
    tell("comparing with torch")
    result.cosines["visual"] = verify.verify_images(image, folder / "visual" / layout.MODEL_FILE, verify.LEAST_COSINE)
    result.cosines["textual"] = verify.verify_texts(text, folder / "textual" / layout.MODEL_FILE, verify.LEAST_COSINE)
    result.strings = verify.verify_tokenizer(Tokenizer.from_file(str(shipped_file())))
    if fp16:
        _export_half(image, text, folder, result, tell)


def _export_half(image: Any, text: Any, folder: Path, result: Export, tell: Callable[[str], None]) -> None:
    from mesh.hub.clip_export import verify
    from mesh.hub.clip_export.towers import write_onnx

    parts = (("visual", image, verify.verify_images), ("textual", text, verify.verify_texts))
    cn_clip.to_half(image.model)
    for part, module, _ in parts:
        tell(f"converting the {part} part to half precision")
        write_onnx(module, folder / part / layout.FP16_FILE)
    image.model.float()
    for part, module, compare in parts:
        result.cosines[f"{part} fp16"] = compare(module, folder / part / layout.FP16_FILE, verify.LEAST_COSINE_FP16)
