"""What services answer, in the mesh's own words; written out by the listeners."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClipImageResult:
    """The unit vector of a photo, and the photo's size in pixels."""

    embedding: list[float]
    image_width: int
    image_height: int
    model_name: str


@dataclass(frozen=True, slots=True)
class ClipTextResult:
    """The unit vector of a text."""

    embedding: list[float]
    model_name: str


@dataclass(frozen=True, slots=True)
class Face:
    """A face: corners in whole pixels, certainty 0 to 1, unit vector, five landmarks (x, y) in pixels."""

    x1: int
    y1: int
    x2: int
    y2: int
    score: float
    embedding: list[float]
    landmarks: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class FaceResult:
    """The faces of a photo, the most certain first, and the photo's size in pixels."""

    faces: list[Face]
    image_width: int
    image_height: int
    model_name: str


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text: corners (x1, y1 .. x4, y4) in pixels, clockwise from the text's own top left; scores 0 to 1."""

    text: str
    corners: tuple[float, float, float, float, float, float, float, float]
    detection_score: float
    recognition_score: float


@dataclass(frozen=True, slots=True)
class OcrResult:
    """The lines of a photo in reading order, and the photo's size in pixels."""

    lines: list[TextLine]
    image_width: int
    image_height: int
    model_name: str


@dataclass(frozen=True, slots=True)
class NativeResult:
    """What a native Immich ML server answered: the JSON as sent, its content type, and its fields."""

    body: bytes
    content_type: str
    fields: dict[str, Any]


Result = ClipImageResult | ClipTextResult | FaceResult | OcrResult | NativeResult
