"""What the mesh says about a photo or a sentence, whichever way it was asked (HTTP or gRPC): what `call` shows."""

import math
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class AnsweredLine:
    """A line of text. `box`: four corners in pixels of the photo, clockwise from the text's own top left."""

    text: str
    box: tuple[Point, Point, Point, Point]
    detection_score: float
    recognition_score: float


@dataclass(frozen=True)
class OcrAnswer:
    """The text of a photo of `width` x `height` pixels, in reading order."""

    lines: tuple[AnsweredLine, ...]
    width: int
    height: int


@dataclass(frozen=True)
class AnsweredFace:
    """A face. `box`: left, top, right, bottom in pixels of the photo. `embedding` is L2-normalised."""

    box: tuple[float, float, float, float]
    score: float
    embedding: tuple[float, ...]


@dataclass(frozen=True)
class FaceAnswer:
    """The faces of a photo of `width` x `height` pixels, the most certain first."""

    faces: tuple[AnsweredFace, ...]
    width: int
    height: int


@dataclass(frozen=True)
class ClipAnswer:
    """The vector of a photo or a sentence."""

    embedding: tuple[float, ...]


def length(vector: tuple[float, ...]) -> float:
    """The L2 norm."""
    return math.sqrt(sum(value * value for value in vector))


def cosine(left: tuple[float, ...], right: tuple[float, ...]) -> float:
    """How well two vectors fit, -1 to 1; 0 when one of them is zero. Raises ValueError for different lengths."""
    scale = length(left) * length(right)
    return sum(a * b for a, b in zip(left, right, strict=True)) / scale if scale else 0.0
