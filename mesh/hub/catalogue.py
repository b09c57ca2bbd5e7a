"""Which models exist: their names, dimensions and where their files come from. The data lies in `catalogue.toml`.

Routes ask it for dimensions (`clip_dimension`), the store for sources (`find`), the command line for the list
(`entries`). A model that is not listed here still works from a complete folder in the cache; it is never downloaded.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

MEGABYTE = 1_000_000


class Family(StrEnum):
    """What a model does; the value is its folder in the cache, which is Immich ML's name of the task."""

    OCR = "ocr"
    CLIP = "clip"
    FACE = "facial-recognition"

    @property
    def parts(self) -> tuple[str, str]:
        """The two graphs of a model of this family, which are also its sub-folders."""
        return ("visual", "textual") if self is Family.CLIP else ("detection", "recognition")


class SourceKind(StrEnum):
    """Where a model's files come from."""

    HUB = "hub"
    """A repository on the Hugging Face hub; `location` is `owner/name`."""
    URL = "url"
    """Files below the URL `location`."""
    PACKAGE = "package"
    """Files inside the installed Python package `location`: nothing to download."""
    EXPORT = "export"
    """Made by `immich-mesh models export` of the checkpoint `location`: cannot be downloaded."""


class Adapter(StrEnum):
    """How files that are not in Immich's layout become so; see `mesh.hub.clip_import`."""

    CN_CLIP_PAIR = "cn-clip-pair"
    """One ONNX file per tower, outputs not normalised (`eisneim/cn-clip_vit-b-16`)."""
    CN_CLIP_JOINT = "cn-clip-joint"
    """One ONNX graph of both towers (`Xenova/chinese-clip-vit-*`)."""


@dataclass(frozen=True)
class ModelFile:
    """One file of a source.

    Attributes:
        path: where the source has it, below its location.
        target: where it belongs in the model's folder.
        sha256: of its content, hexadecimal; None when only the hub knows.
    """

    path: str
    target: str
    sha256: str | None = None


@dataclass(frozen=True)
class ModelSource:
    """Where the files come from. No `files` means all that the repository has of Immich's layout."""

    kind: SourceKind
    location: str
    revision: str = "main"
    adapter: Adapter | None = None
    files: tuple[ModelFile, ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """One model.

    Attributes:
        name: as Immich, the settings and the cache's folder have it.
        aliases: other names that mean it.
        dimension: length of its embeddings; None for OCR.
        size_bytes: what a download costs, about.
        languages: BCP 47 tags, or words.
        checkpoint: the official file that the exporter converts; None where there is none.
    """

    family: Family
    name: str
    source: ModelSource
    dimension: int | None
    size_bytes: int
    licence: str
    languages: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    checkpoint: ModelSource | None = None

    @property
    def short_name(self) -> str:
        """What a person calls it."""
        return self.aliases[0] if self.aliases else self.name

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The files of its source, where they are known beforehand."""
        return self.source.files


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
        if entry.dimension == dimension and entry.source.location.startswith("immich-app/")
    )


@cache
def _by_name(family: Family) -> Mapping[str, ModelEntry]:
    return {name: entry for entry in entries(family) for name in (entry.name, *entry.aliases)}


@cache
def _load() -> tuple[ModelEntry, ...]:
    data = tomllib.loads((files("mesh.hub") / "catalogue.toml").read_text("utf-8"))
    return (*map(_entry, data["model"]), *_immich_clip(data["immich_clip"]))


def _entry(raw: Mapping[str, Any]) -> ModelEntry:
    return ModelEntry(
        family=Family(raw["family"]),
        name=raw["name"],
        source=_source(raw["source"]) if "source" in raw else _on_immichs_hub(raw["name"]),
        dimension=raw.get("dimension"),
        size_bytes=raw["size_mb"] * MEGABYTE,
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
        revision=raw.get("revision", "main"),
        adapter=Adapter(raw["adapter"]) if "adapter" in raw else None,
        files=tuple(listed),
    )


def _immich_clip(groups: Iterable[Mapping[str, Any]]) -> Iterable[ModelEntry]:
    for group in groups:
        for name, size_mb in group["size_mb"].items():
            yield ModelEntry(
                family=Family.CLIP,
                name=name,
                source=_on_immichs_hub(name),
                dimension=group["dimension"],
                size_bytes=size_mb * MEGABYTE,
                licence=group["licence"],
                languages=tuple(group["languages"]),
            )


def _on_immichs_hub(name: str) -> ModelSource:
    return ModelSource(SourceKind.HUB, f"immich-app/{name}")
