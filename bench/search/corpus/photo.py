"""A generated photo: what stands in it, and what OCR made of that."""

from dataclasses import dataclass, field
from uuid import UUID

LARGE, MEDIUM, SMALL = 0.06, 0.03, 0.018
"""Heights of letters, 0..1 of the photo."""


@dataclass(slots=True)
class Line:
    """A line as it stands in the photo.

    Attributes:
        text: as printed (before OCR).
        size: letter height, 0..1 of the photo.
        read: as OCR read it, one or two pieces.
        confidence: of the reading, 0..1.
        misread: index in `text` of the first misread character; -1 for none.
    """

    text: str
    size: float
    read: tuple[str, ...] = ()
    confidence: float = 1.0
    misread: int = -1


@dataclass(slots=True)
class Photo:
    """One photo: `lines` from top to bottom, what it shows, and who may see it."""

    id: UUID
    owner: int
    kind: str
    lines: list[Line] = field(default_factory=list)
    concepts: tuple[str, ...] = ()
    searchable: bool = True
    has_vector: bool = True
    style: str = "plain"
