"""Where a model's files lie: Immich ML's own cache layout, so that an existing Immich volume mounts as it is.

    <cache>/clip/<name>/config.json
    <cache>/clip/<name>/visual/{model.onnx, preprocess_cfg.json}
    <cache>/clip/<name>/textual/{model.onnx, tokenizer.json, tokenizer_config.json}
    <cache>/facial-recognition/<name>/{detection,recognition}/model.onnx
    <cache>/ocr/<name>/{detection,recognition}/model.onnx

Immich's next server keeps a revision of the models other than `main` one folder further down,
`<cache>/<task>/<name>/<revision>/...`: both are found. An OCR model of one language has the recognition half alone. A
face folder may also be InsightFace's own (`det_10g.onnx` and `w600k_r50.onnx` side by side), an OCR folder one of
RapidOCR's (`ch_PP-OCRv4_det_infer.onnx`, ...). A half-precision copy lies beside a graph as `model_fp16.onnx`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mesh.core.errors import InvalidInputError
from mesh.hub.entry import Family

MODEL_FILE = "model.onnx"
FP16_FILE = "model_fp16.onnx"

MAIN = "main"
"""The revision that has no folder of its own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_FLAT_NAMES: dict[tuple[Family, str], tuple[str, ...]] = {
    (Family.FACE, "detection"): ("det_*.onnx", "scrfd_*.onnx"),
    (Family.FACE, "recognition"): ("w600k_*.onnx", "glintr100.onnx"),
    (Family.OCR, "detection"): ("*_det_*.onnx",),
    (Family.OCR, "recognition"): ("*_rec_*.onnx",),
}
"""Names of the graphs in folders that have no sub-folders."""

_CLIP_COMPANIONS = ("config.json", "visual/preprocess_cfg.json", "textual/tokenizer.json")


def check_name(name: str) -> str:
    """The name itself, when it is fit to be a folder's.

    Raises:
        InvalidInputError: anything that could lead out of the cache (`../`, slashes, NUL), or that no file system
            likes.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        shown = name if len(name) <= 80 else name[:77] + "..."
        raise InvalidInputError(f"{shown!r} is not a model name: use letters, digits, '.', '_' and '-'")
    return name


def model_folder(cache_folder: Path, family: Family, name: str) -> Path:
    """Where the model belongs in the cache, there or not. Raises InvalidInputError for an unfit name."""
    return cache_folder / family.value / check_name(name)


def part_file(family: Family, folder: Path, part: str, *, fp16: bool = False) -> Path | None:
    """The graph of one part (`visual`, `textual`, `detection`, `recognition`) of the model in `folder`.

    Args:
        fp16: prefer the half-precision copy where there is one.

    Returns:
        The file, or None when the folder has none, or several that could be meant.
    """
    names = (FP16_FILE, MODEL_FILE) if fp16 else (MODEL_FILE,)
    for candidate in (folder / part / name for name in names):
        if candidate.is_file():
            return candidate
    flat = [path for pattern in _FLAT_NAMES.get((family, part), ()) for path in folder.glob(pattern)]
    return flat[0] if len(flat) == 1 else None


def find_folder(
    cache_folder: Path, family: Family, name: str, revision: str = MAIN, parts: Sequence[str] = ()
) -> Path | None:
    """The model's folder when it is complete: that of the revision, else the plain one, else any revision's.

    Args:
        parts: those that it must have; none for all of the family's.

    Raises:
        InvalidInputError: a name that is unfit to be a folder's.
    """
    plain = model_folder(cache_folder, family, name)
    folders = [plain] if revision == MAIN else [plain / check_name(revision), plain]
    if plain.is_dir():
        folders += sorted(folder for folder in plain.iterdir() if folder.is_dir() and folder not in folders)
    return next((folder for folder in folders if is_complete(family, folder, parts)), None)


def missing_files(family: Family, folder: Path, parts: Sequence[str] = ()) -> list[str]:
    """What the folder lacks to be a whole model, as paths below it; empty when it is complete.

    Args:
        parts: those that it must have; none for all of the family's.
    """
    missing = [f"{part}/{MODEL_FILE}" for part in parts or family.parts if part_file(family, folder, part) is None]
    if family is Family.CLIP:
        missing += [name for name in _CLIP_COMPANIONS if not (folder / name).is_file()]
    return missing


def is_complete(family: Family, folder: Path, parts: Sequence[str] = ()) -> bool:
    """Whether the folder holds every file that serving the model, or those parts of it, needs."""
    return folder.is_dir() and not missing_files(family, folder, parts)


def size_bytes(folder: Path) -> int:
    """Size of all files below the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
