"""Which models exist: their names, dimensions, languages and where their files come from.

The data lies in `catalogue.toml`, the commits and checksums of the hub's repositories in `pins.toml`. Routes ask for
dimensions (`clip_dimension`) and languages (`stands_in`), the store for sources (`find`), the command line for the
list (`entries`). A model that is not listed here still works from a complete folder in the cache; it is never
downloaded.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from mesh.hub.entry import Adapter, Family, ModelEntry, ModelFile, ModelSource, SourceKind

__all__ = ["Adapter", "Family", "ModelEntry", "ModelFile", "ModelSource", "SourceKind"]

MEGABYTE = 1_000_000


def entries(family: Family | None = None) -> tuple[ModelEntry, ...]:
    """All models, or those of one family, in the catalogue's order: recommended ones first."""
    return tuple(entry for entry in _load() if family in (None, entry.family))


def find(family: Family, name: str) -> ModelEntry | None:
    """The model of that name or alias; None when the catalogue has none.

    Immich's spellings count as the same name: `ViT-B-32::openai` is `ViT-B-32__openai`, `M-CLIP/LABSE-Vit-L-14` is
    `LABSE-Vit-L-14`.
    """
    known = _by_name(family)
    return known.get(name) or known.get(name.rsplit("/", 1)[-1].replace(":", "_"))


def clip_dimension(name: str) -> int | None:
    """Length of the embeddings of a CLIP model, Immich's names and ours; None for a name nobody knows."""
    entry = find(Family.CLIP, name)
    return entry.dimension if entry else None


def clip_names(dimension: int) -> tuple[str, ...]:
    """Immich's own CLIP names of that dimension: those its settings page accepts."""
    return tuple(
        entry.name
        for entry in entries(Family.CLIP)
        if entry.dimension == dimension and any(source.is_immichs for source in entry.sources)
    )


def stands_in(served: str, asked: str) -> bool:
    """Whether OCR model `served` may answer for the name `asked`.

    It may for every name that asks for no language of its own; for one that does, such as `KOREAN__PP-OCRv5_mobile`,
    only where it is known to read all that this name stands for.
    """
    if not names_language(asked):
        return True
    given, wanted = find(Family.OCR, served), find(Family.OCR, asked)
    return given is not None and wanted is not None and set(wanted.languages) <= set(given.languages)


def names_language(name: str) -> bool:
    """Whether an OCR model's name begins with a language, as Immich writes it: `KOREAN__PP-OCRv5_mobile`."""
    return "__" in name


def holder(family: Family, name: str, part: str) -> str:
    """The model whose folder holds that part of a model: itself, or the one whose detector it shares."""
    entry = find(family, name)
    return entry.detector if entry and entry.detector and part == family.parts[0] else name


@cache
def _by_name(family: Family) -> Mapping[str, ModelEntry]:
    return {name: entry for entry in entries(family) for name in (entry.name, *entry.aliases)}


@cache
def _load() -> tuple[ModelEntry, ...]:
    data, pins = _table("catalogue.toml"), _table("pins.toml")
    listed = (*map(_entry, data["model"]), *_immich_clip(data["immich_clip"]), *_ocr_languages(data["ocr_languages"]))
    return tuple(_pinned(entry, pins) for entry in listed)


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((files("mesh.hub") / name).read_text("utf-8"))


def _entry(raw: Mapping[str, Any]) -> ModelEntry:
    return ModelEntry(
        family=Family(raw["family"]),
        name=raw["name"],
        sources=tuple(map(_source, raw["source"])) if "source" in raw else (_on_immichs_hub(raw["name"]),),
        dimension=raw.get("dimension"),
        size_bytes=round(raw["size_mb"] * MEGABYTE),
        licence=raw["licence"],
        languages=tuple(raw.get("languages", ())),
        aliases=tuple(raw.get("aliases", ())),
        checkpoint=_source(raw["checkpoint"]) if "checkpoint" in raw else None,
    )


def _source(raw: Mapping[str, Any]) -> ModelSource:
    listed = [ModelFile(**file) for file in raw.get("file", ())]
    listed += [ModelFile(path, path) for path in raw.get("files", ())]
    return ModelSource(
        kind=SourceKind(raw["kind"]),
        location=raw["location"],
        adapter=Adapter(raw["adapter"]) if "adapter" in raw else None,
        files=tuple(listed),
    )


def _immich_clip(groups: Iterable[Mapping[str, Any]]) -> Iterable[ModelEntry]:
    for group in groups:
        for name, size_mb in group["size_mb"].items():
            yield ModelEntry(
                family=Family.CLIP,
                name=name,
                sources=(_on_immichs_hub(name),),
                dimension=group["dimension"],
                size_bytes=size_mb * MEGABYTE,
                licence=group["licence"],
                languages=tuple(group["languages"]),
            )


def _ocr_languages(group: Mapping[str, Any]) -> Iterable[ModelEntry]:
    """PP-OCR's recognisers of single languages and scripts, which share one detector."""
    for name, model in group["model"].items():
        recogniser = ModelFile(model["path"], "recognition/model.onnx", model["sha256"])
        yield ModelEntry(
            family=Family.OCR,
            name=name,
            sources=(ModelSource(SourceKind.URL, group["location"], files=(recogniser,)),),
            dimension=None,
            size_bytes=round(model["size_mb"] * MEGABYTE),
            licence=group["licence"],
            languages=tuple(model["languages"]),
            detector=group["detector"],
        )


def _on_immichs_hub(name: str) -> ModelSource:
    return ModelSource(SourceKind.HUB, f"immich-app/{name}")


def _pinned(entry: ModelEntry, pins: Mapping[str, Any]) -> ModelEntry:
    checkpoint = entry.checkpoint and _with_pins(entry.checkpoint, pins)
    return replace(entry, sources=tuple(_with_pins(one, pins) for one in entry.sources), checkpoint=checkpoint)


def _with_pins(source: ModelSource, pins: Mapping[str, Any]) -> ModelSource:
    pin = pins.get(source.location)
    if source.kind is not SourceKind.HUB or pin is None:
        return source
    checksums = pin.get("sha256", {})
    listed = tuple(replace(file, sha256=checksums.get(file.path)) for file in source.files)
    return replace(source, revision=pin.get("revision", "main"), files=listed, pins=checksums)
