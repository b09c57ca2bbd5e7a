"""One model of the catalogue: its names, its parts and where its files come from. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Family(StrEnum):
    """What a model does; the value is its folder in the cache, which is Immich ML's name of the task."""

    OCR = "ocr"
    CLIP = "clip"
    FACE = "facial-recognition"

    @property
    def parts(self) -> tuple[str, ...]:
        """The graphs of a model of this family, which are also its sub-folders."""
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
    """Where the files come from. No `files` means all that the repository has of Immich's layout.

    Attributes:
        revision: the commit that is fetched, or a branch where no commit is known.
        pins: SHA-256 by path of files that must have that content, whatever the hub announces.
    """

    kind: SourceKind
    location: str
    revision: str = "main"
    adapter: Adapter | None = None
    files: tuple[ModelFile, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)

    @property
    def can_be_fetched(self) -> bool:
        """Whether a download gives it."""
        return self.kind in (SourceKind.HUB, SourceKind.URL)

    @property
    def is_immichs(self) -> bool:
        """Whether Immich publishes it."""
        return self.kind is SourceKind.HUB and self.location.startswith("immich-app/")


@dataclass(frozen=True)
class ModelEntry:
    """One model.

    Attributes:
        name: as Immich, the settings and the cache's folder have it.
        sources: tried in this order.
        aliases: other names that mean it.
        dimension: length of its embeddings; None for OCR.
        size_bytes: what a download costs, about.
        languages: BCP 47 tags, or words.
        detector: the model whose detection half finds the lines for this one, which only reads them; empty when it has
            both halves.
        checkpoint: the official file that the exporter converts; None where there is none.
    """

    family: Family
    name: str
    sources: tuple[ModelSource, ...]
    dimension: int | None
    size_bytes: int
    licence: str
    languages: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    detector: str = ""
    checkpoint: ModelSource | None = None

    @property
    def short_name(self) -> str:
        """What a person calls it."""
        return self.aliases[0] if self.aliases else self.name

    @property
    def own_parts(self) -> tuple[str, ...]:
        """The parts that are in its own folder."""
        return self.family.parts[1:] if self.detector else self.family.parts

    @property
    def source(self) -> ModelSource:
        """The first of its sources."""
        return self.sources[0]

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The files of its first source, where they are known beforehand."""
        return self.source.files
