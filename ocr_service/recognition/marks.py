"""Marks that were read as letters: a note as 月, a sun as 米, a yen sign as 夫.

A model that was trained on letters sees one in every mark, and may be certain of it. But it is not certain of the same
one when the mark is tilted, wider, or stands in more room; of a letter it is. So lines of one character, once or again
and again, are read in a few other ways, and are text when all of them agree.
"""

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from mesh.serving.images import Pixels
from mesh.serving.images.transform import resize, warp_perspective
from ocr_service.recognition.crops import Crop
from ocr_service.recognition.orientation import Oriented, as_read
from ocr_service.recognition.recogniser import HEIGHT, MAX_WIDTH, Reading, TextRecogniser

TILT_DEGREES = 8.0
ROOM = 0.25
SLANT = 0.25
WIDER = 1.4
"""The other ways: tilted, with so much of its height as room on all sides, slanted to the left by so much of it, and so
many times as wide."""

STEADY, STEADY_IN_A_ROW = 0.9, 0.95
"""Least certainty of each: nearly all letters and ideographs have 0.93 and more; a lone e or 一 may have less. A rating
is a row of one mark; words such as 哈哈 have 0.98."""

CERTAIN_DIGIT = 0.99
"""A digit of this certainty is one; in a row (∞∞ is as 88), or less certain, it must be legible in all ways."""

MOST = 16
"""Lines of one photo that are read again, the least certain first: a rating has one, a table of grades many."""

LEGIBLE = 0.8
"""What is less certain than this hardly ever counts: Immich leaves it out."""


async def mistaken_marks(
    recogniser: TextRecogniser, crops: Sequence[Crop], readings: Sequence[Oriented], language: str
) -> frozenset[int]:
    """Indices of the lines that are no text.

    Args:
        recogniser: that read them.
        crops, readings: of one photo, in the same order.
        language: of the request.
    """
    doubtful = [index for index, found in enumerate(readings) if _may_be_marks(found.reading)]
    doubtful = sorted(doubtful, key=lambda index: readings[index].reading.score)[:MOST]
    if not doubtful:
        return frozenset()
    ways = [_ways(as_read(crops[index], readings[index].turns)) for index in doubtful]
    again = iter(await recogniser.read([line for lines in ways for line in lines], language))
    return frozenset(
        index
        for index, lines in zip(doubtful, ways, strict=True)
        if not _is_steady(readings[index].reading, [next(again) for _ in lines])
    )


def _may_be_marks(reading: Reading) -> bool:
    """Whether a line is one letter or digit, or the same one again and again."""
    letters = _letters(reading.text)
    sure = len(letters) == 1 and letters.isdecimal() and reading.score >= CERTAIN_DIGIT
    return len(set(letters)) == 1 and reading.score >= LEGIBLE and not sure


def _is_steady(reading: Reading, again: Sequence[Reading]) -> bool:
    """Whether a line says the same, and as surely as text does, in all ways of reading it."""
    letters = _letters(reading.text)
    least = LEGIBLE if letters.isdecimal() else STEADY if len(letters) == 1 else STEADY_IN_A_ROW
    return all(one.score >= least and _letters(one.text) == letters for one in (reading, *again))


def _letters(text: str) -> str:
    told = (one for one in text if unicodedata.category(one)[0] == "L" or one.isdecimal())
    return "".join(told).casefold()


def _ways(line: Pixels) -> list[Pixels]:
    """A line as it looks in other ways, each as high as the recogniser wants it."""
    width = min(MAX_WIDTH, max(8, round(HEIGHT * line.shape[1] / line.shape[0])))
    line = resize(np.ascontiguousarray(line), (width, HEIGHT))
    turn = cv2.getRotationMatrix2D((width / 2, HEIGHT / 2), -TILT_DEGREES, 1.0)
    tilted = warp_perspective(line, np.vstack([turn, [0, 0, 1]]), (width, HEIGHT))
    room = (round(ROOM * HEIGHT),) * 4
    roomy = cv2.copyMakeBorder(line, *room, cv2.BORDER_REPLICATE)
    slant = np.array([[1, -SLANT, SLANT * HEIGHT / 2], [0, 1, 0], [0, 0, 1]])
    slanted = warp_perspective(line, slant, (width, HEIGHT))
    wider = resize(line, (min(MAX_WIDTH, round(WIDER * width)), HEIGHT))
    return [tilted, roomy.astype(np.uint8, copy=False), slanted, wider]
