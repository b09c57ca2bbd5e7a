"""Which way up lines of text are, found by reading them: no classifier model.

A crop is upright or upside down. A few crops vote, one after the other until one is certain: each is read as it is and,
when that reads badly, turned by 180 degrees. The others are then read the way that won, and turned only when they read
badly that way.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ocr_service.recognition.crops import Crop
from ocr_service.recognition.recogniser import LONG, SQUEEZE, Reading, TextRecogniser

DOUBTFUL = 0.85
"""A reading less certain than this may be upside down."""

SPARSE = 2.5
"""So is one whose characters would each be this many times as wide as high."""

VOTERS = 3
"""Crops that may vote, per direction of the text."""

CERTAIN, ENOUGH_CHARACTERS = 0.95, 3
"""A vote of this score and of this many characters needs no other: nothing is read so upside down."""

VOTER_ASPECT = 6.0
"""Width over height that a voter should have: enough characters to be sure, no more to read than needed."""


@dataclass(frozen=True, slots=True)
class Oriented:
    """A line that was read the right way up.

    Attributes:
        reading: what it says.
        turns: quarter turns, counter-clockwise, from the photo to the upright line: 0 to 3.
    """

    reading: Reading
    turns: int


async def read_upright(recogniser: TextRecogniser, crops: Sequence[Crop], language: str) -> list[Oriented]:
    """Reads crops whichever way up they are; long ones that stay doubtful once more, at their full width.

    Returns:
        One reading per crop, in the order of `crops`.
    """
    groups = [[index for index, crop in enumerate(crops) if crop.turns == turns] for turns in (0, 1)]
    across, down = await asyncio.gather(*(_read_group(recogniser, crops, group, language) for group in groups))
    results = across | down
    for upside_down in (False, True):
        blurred = [
            index
            for index, found in results.items()
            if (found.turns >= 2) is upside_down and found.reading.score < DOUBTFUL and crops[index].aspect > LONG
        ]
        again = await _read_one_way(recogniser, crops, blurred, upside_down=upside_down, language=language, squeeze=1)
        results.update(_better(results, again))
    return [results[index] for index in range(len(crops))]


async def _read_group(
    recogniser: TextRecogniser, crops: Sequence[Crop], group: Sequence[int], language: str
) -> dict[int, Oriented]:
    """Reads the crops of one direction: the voters, then the others as they say."""
    ranked = sorted(group, key=lambda index: abs(math.log(crops[index].aspect / VOTER_ASPECT)))
    results: dict[int, Oriented] = {}
    votes = 0.0
    for voter in ranked[:VOTERS]:
        results.update(await _read_either_way(recogniser, crops, [voter], upside_down=votes < 0, language=language))
        reading = results[voter].reading
        votes += _evidence(reading) * (1 if results[voter].turns < 2 else -1)
        if reading.score >= CERTAIN and len(reading.text) >= ENOUGH_CHARACTERS:
            break
    others = [index for index in group if index not in results]
    results.update(await _read_either_way(recogniser, crops, others, upside_down=votes < 0, language=language))
    return results


async def _read_either_way(
    recogniser: TextRecogniser, crops: Sequence[Crop], indices: Sequence[int], *, upside_down: bool, language: str
) -> dict[int, Oriented]:
    """Reads crops one way up, and those that read badly the other way up too; the better reading of each counts."""
    results = await _read_one_way(recogniser, crops, indices, upside_down=upside_down, language=language)
    doubtful = [index for index in indices if _is_doubtful(results[index].reading, crops[index])]
    again = await _read_one_way(recogniser, crops, doubtful, upside_down=not upside_down, language=language)
    return results | _better(results, again)


def _better(results: dict[int, Oriented], again: dict[int, Oriented]) -> dict[int, Oriented]:
    """Those that tell more when read again."""
    return {
        index: oriented
        for index, oriented in again.items()
        if _evidence(oriented.reading) > _evidence(results[index].reading)
    }


def _is_doubtful(reading: Reading, crop: Crop) -> bool:
    return reading.score < DOUBTFUL or crop.aspect > SPARSE * len(reading.text)


def _evidence(reading: Reading) -> float:
    """How much a reading tells: certainty counts, and so does making sense of more than one stray character."""
    return reading.score * math.log1p(len(reading.text))


async def _read_one_way(
    recogniser: TextRecogniser,
    crops: Sequence[Crop],
    indices: Sequence[int],
    *,
    upside_down: bool,
    language: str,
    squeeze: float = SQUEEZE,
) -> dict[int, Oriented]:
    lines = [crops[index].pixels for index in indices]
    if upside_down:
        lines = [line[::-1, ::-1] for line in lines]
    readings = await recogniser.read(lines, language, squeeze=squeeze)
    half_turn = 2 if upside_down else 0
    return {
        index: Oriented(reading, crops[index].turns + half_turn)
        for index, reading in zip(indices, readings, strict=True)
    }
