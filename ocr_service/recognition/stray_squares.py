"""Short lines that were read across the direction of their photo: 19 on a sign that lies on its side.

Which way a line runs shows in the shape of its box, but that of one or two characters is nearly square. It runs as the
others of its photo do, where these are certain and it is not.
"""

from collections.abc import Sequence

import numpy as np

from ocr_service.recognition.crops import Crop
from ocr_service.recognition.orientation import CERTAIN, CERTAIN_TURNED, Oriented, as_read, vote
from ocr_service.recognition.recogniser import TextRecogniser

SQUARE = 2.5
"""A box of two characters, or of one narrow one, is no more than this many times as long as wide."""


async def turned_as_the_others(
    recogniser: TextRecogniser, crops: list[Crop], readings: list[Oriented], language: str
) -> tuple[list[Crop], list[Oriented]]:
    """Crops and readings, those turned that say more surely what they say the way the others run.

    Args:
        recogniser: that read them.
        crops, readings: of one photo, in the same order.
        language: of the request.
    """
    turns = _direction(readings)
    if turns is None:
        return crops, readings
    both = enumerate(zip(crops, readings, strict=True))
    turned = {index: _turned(crop) for index, (crop, found) in both if _is_stray(crop, found, turns)}
    again = await recogniser.read([as_read(crop, turns) for crop in turned.values()], language)
    crops, readings = list(crops), list(readings)
    for (index, crop), reading in zip(turned.items(), again, strict=True):
        if reading.score > readings[index].reading.score:
            crops[index], readings[index] = crop, Oriented(reading, turns)
    return crops, readings


def _direction(readings: Sequence[Oriented]) -> int | None:
    """Quarter turns of the photo's text; None where no line votes, or lines along and across do."""
    votes = [sum(vote(found.reading, CERTAIN) for found in readings if found.turns == turns) for turns in range(4)]
    best = int(np.argmax(votes))
    return best if votes[best] > votes[best - 1] + votes[best - 3] == 0 else None


def _is_stray(crop: Crop, found: Oriented, turns: int) -> bool:
    across = (found.turns - turns) % 2 == 1
    return across and crop.aspect < SQUARE and found.reading.score < CERTAIN_TURNED


def _turned(crop: Crop) -> Crop:
    """The same line, as if its box were high instead of wide, or wide instead of high."""
    pixels = np.rot90(crop.pixels, 1 if crop.turns == 0 else -1)
    return Crop(np.ascontiguousarray(pixels), 1 - crop.turns)
