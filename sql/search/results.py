"""What a search gives back: ids in rank order, never photos; the caller fetches those from Immich with its own
rights."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Match(StrEnum):
    """By which step a photo was found, best first. Earlier steps always rank before later ones in a text search."""

    HEADLINE = "headline"
    """In the photo's large lines."""
    TEXT = "text"
    """Anywhere in its text, as the query asks."""
    WITHIN = "within"
    """Only across two other words: 车站 in 汽车站点."""
    LOOSE = "loose"
    """All letters in order, but spaced otherwise, across a line break, or inside a longer number or word."""
    PINYIN = "pinyin"
    """Read as the query, which is pinyin: 发票 for fapiao; only where that is set."""
    FUZZY = "fuzzy"
    """With letters that OCR got wrong."""
    APART = "apart"
    """The parts of the query, wherever they stand, or a long number with one digit misread; asked for only when all
    else finds nothing."""
    VECTOR = "vector"
    """By what the photo looks like alone (hybrid search)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One photo of a page.

    Attributes:
        asset_id: Immich's id of the photo.
        score: 0..1, comparable within one search only.
        match: the step that found it.
        text_rank: 0..1 as the text side ranks it; None when its text does not match.
        vector_distance: cosine distance 0..2 to the query's embedding; None in a text search, or without a vector.
        distance: what it took to read the query in the text, from 0 up; None where it was read as it stands.
    """

    asset_id: UUID
    score: float
    match: Match
    text_rank: float | None = None
    vector_distance: float | None = None
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of hits, best first. The same query gives the same pages as long as the library does not change.

    Attributes:
        hits: at most `limit` of them.
        has_more: whether a next page would hold something.
    """

    hits: tuple[Hit, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class MatchedLine:
    """A line of a photo's text that matches the query.

    Attributes:
        text: as OCR read it.
        box: x1 y1 x2 y2 x3 y3 x4 y4, corners clockwise from top left, each 0..1 of the photo's width or height.
            None where the source has no boxes.
        confidence: 0..1 of the recognition; None where the source has none.
    """

    text: str
    box: tuple[float, ...] | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a hit is where it is."""

    hit: Hit
    lines: tuple[MatchedLine, ...]
