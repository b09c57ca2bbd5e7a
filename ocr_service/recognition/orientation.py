"""Which way up lines of text are, found by reading them: no classifier model.

The way is a decision for all lines of one direction, across the photo or down it. A few lines vote, one after the other
until one is certain: each is read as it is, and turned by 180 degrees where that is not certain. Only letters and
ideographs that look otherwise upside down have a vote: 86 is as good a number as 98, and three stars or yen signs make
three ideographs when they are turned. Where nobody has a vote, text is upright, and a line is turned only when it is
certain upside down and says nothing upright.
"""

import asyncio
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mesh.serving.images import Pixels
from ocr_service.recognition.crops import Crop
from ocr_service.recognition.recogniser import LONG, SQUEEZE, Reading, TextRecogniser

DOUBTFUL = 0.85
"""A long line read with less certainty than this is read again at its full width."""

VOTERS = 3
"""Lines of one direction that may vote before the others are read."""

CERTAIN = 0.95
"""A reading of less certainty has no vote: scripts that the model does not know are read with up to 0.93."""

CERTAIN_TURNED = 0.97
"""The same of a line read upside down: so few are that a word of a foreign script is the likelier cause."""

ROUND = 16
"""Where no line says which way is up, so many doubtful lines are read upside down; the others too if one of them makes
sense then. A texture has hundreds."""

SETTLED = 3
"""So many different characters with a vote in one certain reading settle the matter."""

VOTER_ASPECT = 6.0
"""Width over height that a voter should have: enough characters to be sure, no more to read than needed."""

_SAME_UPSIDE_DOWN = frozenset("oOxXsSzZHINlunUdpbqmMwWaehy一二三十口日目田中工王回米申由甲士土干丰非井")
"""Letters and ideographs that are themselves, or another one, upside down."""


@dataclass(frozen=True, slots=True)
class Oriented:
    """A line that was read the right way up.

    Attributes:
        reading: what it says.
        turns: quarter turns, counter-clockwise, from the photo to the upright line: 0 to 3.
    """

    reading: Reading
    turns: int


def as_read(crop: Crop, turns: int) -> Pixels:
    """A crop's pixels as they were read at `turns` quarter turns: the other way up from two on."""
    return crop.pixels[::-1, ::-1] if turns >= 2 else crop.pixels


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
    ranked = sorted(group, key=lambda index: _unlike_a_voter(crops[index]))
    upright: dict[int, Oriented] = {}
    turned: dict[int, Oriented] = {}
    for voter in ranked[:VOTERS]:
        upright |= await _read_one_way(recogniser, crops, [voter], upside_down=False, language=language)
        if _is_settled(upright[voter].reading):
            break
        turned |= await _read_one_way(recogniser, crops, [voter], upside_down=True, language=language)
        if _is_settled(turned[voter].reading, CERTAIN_TURNED):
            break
    upside_down = _votes(turned, CERTAIN_TURNED) > _votes(upright)
    chosen = turned if upside_down else upright
    others = [index for index in group if index not in chosen]
    chosen |= await _read_one_way(recogniser, crops, others, upside_down=upside_down, language=language)
    if _votes(chosen, CERTAIN_TURNED if upside_down else CERTAIN) > 0:
        return chosen
    return await _one_by_one(recogniser, crops, chosen, turned, language)


def _unlike_a_voter(crop: Crop) -> float:
    return abs(math.log(crop.aspect / VOTER_ASPECT))


async def _one_by_one(
    recogniser: TextRecogniser,
    crops: Sequence[Crop],
    upright: dict[int, Oriented],
    turned: dict[int, Oriented],
    language: str,
) -> dict[int, Oriented]:
    """Where no line says which way is up: each line for itself, upright unless it is certain the other way up."""
    doubtful = [index for index, found in upright.items() if found.reading.score < CERTAIN and index not in turned]
    doubtful.sort(key=lambda index: _unlike_a_voter(crops[index]))
    for part in (doubtful[:ROUND], doubtful[ROUND:]):
        turned = turned | await _read_one_way(recogniser, crops, part, upside_down=True, language=language)
        certain = {index: found for index, found in turned.items() if vote(found.reading, CERTAIN_TURNED) > 0}
        if not certain:
            break
    return upright | certain


def _better(results: dict[int, Oriented], again: dict[int, Oriented]) -> dict[int, Oriented]:
    """Those that tell more when read again."""
    return {
        index: oriented
        for index, oriented in again.items()
        if _evidence(oriented.reading) > _evidence(results[index].reading)
    }


def _evidence(reading: Reading) -> float:
    """How much a reading tells: certainty counts, and so does making sense of more than one stray character."""
    return reading.score * math.log1p(len(reading.text))


def _votes(readings: dict[int, Oriented], certain: float = CERTAIN) -> float:
    return sum(vote(oriented.reading, certain) for oriented in readings.values())


def vote(reading: Reading, certain: float) -> float:
    """How much a reading says for the way it was read; 0 for one that would look as good upside down."""
    if reading.score < certain:
        return 0.0
    telling = _telling(reading.text)
    return reading.score * len(telling) if len(telling) >= 2 else 0.0


def _is_settled(reading: Reading, certain: float = CERTAIN) -> bool:
    return reading.score >= certain and len(_telling(reading.text)) >= SETTLED


def _telling(text: str) -> set[str]:
    """The different letters and ideographs of a text that are none, or others, upside down."""
    return {
        character
        for character in text
        if unicodedata.category(character) in ("Lu", "Ll", "Lo") and character not in _SAME_UPSIDE_DOWN
    }


async def _read_one_way(
    recogniser: TextRecogniser,
    crops: Sequence[Crop],
    indices: Sequence[int],
    *,
    upside_down: bool,
    language: str,
    squeeze: float = SQUEEZE,
) -> dict[int, Oriented]:
    half_turn = 2 if upside_down else 0
    lines = [as_read(crops[index], half_turn) for index in indices]
    readings = await recogniser.read(lines, language, squeeze=squeeze)
    return {
        index: Oriented(reading, crops[index].turns + half_turn)
        for index, reading in zip(indices, readings, strict=True)
    }
