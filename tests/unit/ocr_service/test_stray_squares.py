"""Lines of one or two characters run as the others of their photo do."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from mesh.serving.images import Pixels
from ocr_service.recognition.crops import Crop, cut
from ocr_service.recognition.orientation import Oriented
from ocr_service.recognition.recogniser import Reading, TextRecogniser
from ocr_service.recognition.stray_squares import turned_as_the_others

PHOTO = np.zeros((100, 100, 3), np.uint8)
PHOTO[10:30, 10:20] = 255  # the upper end of the box
LONG, SHORT = Crop(np.zeros((20, 120, 3), np.uint8), 0), (10, 10, 40, 50)
TITLE = Reading("营业时间", 0.99)


def box(left: int, top: int, right: int, bottom: int) -> Crop:
    return cut(PHOTO, np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32))


class Bright:
    """Stands where a recogniser stands; reads 19 where the bright end is at the left."""

    async def read(self, lines: Sequence[Pixels], language: str = "") -> list[Reading]:
        return [
            Reading("19", 1.0) if line[:, :5].mean() > line[:, -5:].mean() else Reading("61", 0.4) for line in lines
        ]


async def read(crop: Crop, found: Oriented, *others: Oriented) -> tuple[Crop, Oriented]:
    recogniser = cast("TextRecogniser", cast("Any", Bright()))
    crops, readings = await turned_as_the_others(recogniser, [crop, *[LONG] * len(others)], [found, *others], "")
    return crops[0], readings[0]


async def test_a_short_line_runs_down_as_the_others_do() -> None:
    crop, found = await read(box(*SHORT), Oriented(Reading("61", 0.63), 0), Oriented(TITLE, 1))
    assert (found.reading.text, found.turns, crop.turns) == ("19", 1, 1)
    assert crop.pixels.shape[:2] == (30, 40)


async def test_one_narrow_character_stands_upright_as_the_others_do() -> None:
    narrow = box(10, 10, 30, 50)
    assert narrow.turns == 1
    crop, found = await read(narrow, Oriented(Reading("一", 0.6), 1), Oriented(TITLE, 0))
    assert (found.reading.text, found.turns, crop.turns) == ("19", 0, 0)
    assert crop.pixels.shape[:2] == (40, 20)


@pytest.mark.parametrize(
    ("score", "others"),
    [
        (0.98, [Oriented(TITLE, 1)]),
        (0.6, []),
        (0.6, [Oriented(Reading("1966", 1.0), 1)]),
        (0.6, [Oriented(TITLE, 1), Oriented(TITLE, 0)]),
        (0.6, [Oriented(TITLE, 2)]),
        (0.6, [Oriented(TITLE, 3)]),
    ],
    ids=["certain", "alone", "numbers have no vote", "no one direction", "runs along", "says less that way"],
)
async def test_it_stays_as_it_is(score: float, others: list[Oriented]) -> None:
    crop, found = await read(box(*SHORT), Oriented(Reading("61", score), 0), *others)
    assert (found.reading.text, found.turns, crop.turns) == ("61", 0, 0)
