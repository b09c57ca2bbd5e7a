"""Marks that were read as letters are told from letters by reading them in other ways."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from mesh.serving.images import Pixels
from ocr_service.recognition.crops import Crop
from ocr_service.recognition.marks import MOST, mistaken_marks
from ocr_service.recognition.orientation import Oriented
from ocr_service.recognition.recogniser import HEIGHT, Reading, TextRecogniser


class Readings:
    """Stands where a recogniser stands; gives these readings one after the other."""

    def __init__(self, *readings: Reading) -> None:
        self.readings = list(readings)
        self.lines: list[Pixels] = []

    async def read(self, lines: Sequence[Pixels], language: str = "") -> list[Reading]:
        self.lines += lines
        return [self.readings.pop(0) if self.readings else Reading("好", 1.0) for _ in lines]

    def as_recogniser(self) -> TextRecogniser:
        return cast("TextRecogniser", cast("Any", self))


WAYS = 4
CROP = Crop(np.full((20, 60, 3), 200, np.uint8), 0)


async def found(*texts: tuple[str, float], again: Readings | None = None) -> frozenset[int]:
    readings = [Oriented(Reading(text, score), 0) for text, score in texts]
    recogniser = (again or Readings()).as_recogniser()
    return await mistaken_marks(recogniser, [CROP] * len(readings), readings, "")


async def test_a_letter_stays_what_it_is() -> None:
    assert await found(("好", 0.99)) == frozenset()


@pytest.mark.parametrize("other", [Reading("好", 0.8), Reading("女", 0.99), Reading("", 0.0)])
async def test_a_mark_is_another_letter_or_less_certain_when_it_is_tilted(other: Reading) -> None:
    steady = Reading("好", 0.99)
    for way in range(WAYS):
        again = [steady] * WAYS
        again[way] = other
        assert await found(("好", 0.99), again=Readings(*again)) == {0}


async def test_only_lines_of_one_letter_are_read_again() -> None:
    again = Readings()
    assert (
        await found(("发票", 0.99), ("8", 0.99), ("808", 0.99), ("Hi", 0.9), ("", 0.0), ("女", 0.5), again=again)
        == frozenset()
    )
    assert again.lines == []
    assert await found(("发票", 0.99), ("女 女 女", 0.99), again=Readings(Reading("又又又", 0.9))) == {1}


async def test_the_case_of_a_letter_may_change() -> None:
    assert await found(("xxx", 0.95), again=Readings(*[Reading("XXX", 0.96)] * WAYS)) == frozenset()


async def test_other_ways_are_small_whatever_the_line() -> None:
    again = Readings()
    large = Crop(np.full((3000, 4000, 3), 200, np.uint8), 0)
    await mistaken_marks(again.as_recogniser(), [large], [Oriented(Reading("好", 0.99), 2)], "")
    assert [max(line.shape) <= 2 * HEIGHT for line in again.lines] == [True] * WAYS


async def test_a_page_of_letters_is_looked_at_in_part() -> None:
    again = Readings()
    await found(*[("好", 0.9)] * 100, again=again)
    assert len(again.lines) == WAYS * MOST


@pytest.mark.parametrize(
    ("text", "score", "again", "is_mark"),
    [
        ("米米", 0.99, Reading("米米", 0.91), True),
        ("米", 0.99, Reading("米", 0.91), False),
        ("88", 0.99, Reading("春语", 0.2), True),
        ("88", 0.99, Reading("88", 0.85), False),
        ("8", 0.98, Reading("8", 0.7), True),
    ],
)
async def test_rows_must_be_surer_than_one_letter_and_digits_legible(
    text: str, score: float, again: Reading, is_mark: bool
) -> None:
    assert await found((text, score), again=Readings(*[again] * WAYS)) == ({0} if is_mark else set())
