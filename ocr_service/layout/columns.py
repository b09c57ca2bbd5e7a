"""Whether text that runs down the photo is a column of upright characters, or a line that lies on its side.

Both are read from the same crop, turned to run from left to right, but their own top left is another corner: that of
the photo for a column of Chinese, the photo's top right for a line turned clockwise. To tell, the first characters of a
column are set side by side, as upright as they would be in a column, and read: only a column makes sense then.
"""

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mesh.serving.images import Pixels
from mesh.serving.images.transform import resize
from ocr_service.recognition.crops import Crop
from ocr_service.recognition.orientation import Oriented
from ocr_service.recognition.recogniser import TextRecogniser

RUNS_DOWN = 1
"""Quarter turns of a crop whose text runs down the photo."""

SAMPLE_CHARACTERS = 3
WITNESSES = 2
"""Columns that are looked at, and how many characters of each; they speak for all columns of the photo."""

SQUARE = 1.6
"""A cell may be this many times as long as wide: Chinese characters are square, and stand apart a little."""


async def are_columns(
    recogniser: TextRecogniser, crops: Sequence[Crop], readings: Sequence[Oriented], language: str
) -> bool:
    """Whether the crops that run down the photo are columns of upright characters."""
    witnesses = [
        (crop, oriented.reading.text)
        for crop, oriented in zip(crops, readings, strict=True)
        if oriented.turns == RUNS_DOWN and _may_stand_upright(crop, oriented.reading.text)
    ]
    if not witnesses:
        return False
    witnesses.sort(key=lambda witness: len(witness[1]), reverse=True)
    lines = [_side_by_side(crop, len(text)) for crop, text in witnesses[:WITNESSES]]
    upright = await recogniser.read(lines, language)
    agreeing = sum(
        sum(character in text[:SAMPLE_CHARACTERS] for character in reading.text)
        for reading, (_, text) in zip(upright, witnesses, strict=False)
    )
    expected = sum(min(SAMPLE_CHARACTERS, len(text)) for _, text in witnesses[:WITNESSES])
    return agreeing > expected / 2


def _may_stand_upright(crop: Crop, text: str) -> bool:
    """Whether the text is of square characters alone, as many as the crop has room for."""
    square = text and all(unicodedata.east_asian_width(character) in "WF" for character in text)
    return bool(square) and 1 / SQUARE < crop.aspect / len(text) < SQUARE


def _side_by_side(crop: Crop, count: int) -> Pixels:
    """The first characters of a column as a line, shape (rows, columns, 3)."""
    column = np.rot90(crop.pixels, -1)
    edges = np.linspace(0, column.shape[0], count + 1).astype(int)[: SAMPLE_CHARACTERS + 1]
    side = column.shape[1]
    cells = [resize(np.ascontiguousarray(column[top:bottom]), (side, side)) for top, bottom in pairwise(edges)]
    return np.hstack(cells)
