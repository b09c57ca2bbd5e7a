"""What a request asks for, in the mesh's own words: parsed and routed by `router.dispatch`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

CLIP = "clip"
FACE = "facial-recognition"
OCR = "ocr"


class Lane(StrEnum):
    """Text queries have a lane of their own: a person who searches never waits behind the photos being indexed."""

    TEXT = "text"
    IMAGE = "image"


class OcrDialect(StrEnum):
    """How an OCR answer is worded: in Immich's way, or joined, for requests that ask for recognition alone."""

    IMMICH = "immich"
    JOINED = "joined"


@dataclass(frozen=True, slots=True)
class ClipVisual:
    """The vector of a photo."""

    task: ClassVar[str] = CLIP
    type: ClassVar[str] = "visual"
    model_name: str


@dataclass(frozen=True, slots=True)
class ClipTextual:
    """The vector of a search query. `language` is a BCP 47 tag or empty."""

    task: ClassVar[str] = CLIP
    type: ClassVar[str] = "textual"
    model_name: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class FaceRecognition:
    """The faces of a photo. `min_score` 0 to 1, None for the service's default."""

    task: ClassVar[str] = FACE
    type: ClassVar[str] = "recognition"
    model_name: str
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class TextRecognition:
    """The text of a photo. Scores 0 to 1, resolution in pixels of the short side; None for the service's default."""

    task: ClassVar[str] = OCR
    type: ClassVar[str] = "recognition"
    model_name: str
    min_detection_score: float | None = None
    min_recognition_score: float | None = None
    max_resolution: int | None = None
    language: str = ""
    dialect: OcrDialect = OcrDialect.IMMICH


@dataclass(frozen=True, slots=True)
class ForeignTask:
    """A task that the mesh does not know; a native Immich ML server may. `entry` is its JSON, as sent."""

    task: str
    type: str
    model_name: str
    entry: bytes


Task = ClipVisual | ClipTextual | FaceRecognition | TextRecognition | ForeignTask


def needs_text(task: Task) -> bool:
    """Whether the task works on the request's text rather than on its image."""
    return isinstance(task, ClipTextual) or task.type == "textual"
