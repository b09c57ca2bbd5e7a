"""A closer look at places where text was all but missed: a lone short word in a large frame, small print in a corner.

The detector weighs the whole of its input against each place in it, so that a word of a few pixels in an empty frame
leaves a core too thin for a box. Seen by itself, with a little of its surroundings, it is found. Only a few such places
are looked at, and none that touches text which was found: a texture has dozens, and a line has its dots and accents.
"""

import numpy as np
from numpy.typing import NDArray

from ocr_service.detection.boxes import Boxes
from ocr_service.detection.small_text import MAX_RATIO, CloserLook

MAX_PLACES = 3
"""Where more places than this were missed, they are a texture."""

MAX_SPECKS = 60
"""Where so many regions gave no box, nobody asks which of them lie together."""

TOGETHER_PX = 24.0
"""Regions nearer than this, as the detector sees them, are one place."""

LARGER = 2.0
"""How much larger than in the first look a place is seen."""

SIDE_PX = 320.0
"""Least side of what is looked at, as the detector sees it then: a tenth of a photo's cost."""

LARGEST_PART = 0.25
"""A place larger than this part of the photo is no lone word."""

Floats = NDArray[np.float32]


def missed_places(boxes: Boxes, size: tuple[int, int], ratio: float) -> list[Floats]:
    """Places to look at again: left, top, right and bottom of each, in pixels of the photo.

    Args:
        boxes: what was found, and missed.
        size: rows and columns of the photo.
        ratio: size at which the first look saw it.
    """
    if not 0 < len(boxes.missed) <= MAX_SPECKS:
        return []
    reach = TOGETHER_PX / ratio
    around = np.array([-reach, -reach, reach, reach], np.float32)
    places = _joined(list(boxes.missed + around))
    low, high = boxes.quads.min(axis=1), boxes.quads.max(axis=1)
    alone = [place for place in places if not touches(place, low, high)]
    whole = size[0] * size[1]
    alone = [place for place in alone if (place[2] - place[0]) * (place[3] - place[1]) < LARGEST_PART * whole]
    return alone if len(alone) <= MAX_PLACES else []


def look_at(place: Floats, size: tuple[int, int], ratio: float) -> CloserLook:
    """The look at a place: it and its surroundings, within a photo of `size` (rows, columns)."""
    larger = min(MAX_RATIO, LARGER * ratio)
    middle = (place[:2] + place[2:]) / 2
    half = np.maximum((place[2:] - place[:2]) / 2, SIDE_PX / larger / 2)
    left, top = np.maximum(middle - half, 0).astype(int).tolist()
    right, bottom = np.minimum(middle + half, (size[1], size[0])).astype(int).tolist()
    return CloserLook(left, top, max(right, left + 1), max(bottom, top + 1), larger)


def with_missed(boxes: Boxes, found: Boxes, look: CloserLook, place: Floats) -> Boxes:
    """The boxes, and those of the look whose centre lies in its place."""
    moved = found.moved(np.array([look.left, look.top], np.float32))
    x, y = moved.quads.mean(axis=1).T
    there = (x >= place[0]) & (x < place[2]) & (y >= place[1]) & (y < place[3])
    return boxes.with_more(moved.where(there))


def _joined(places: list[Floats]) -> list[Floats]:
    """Places that overlap as one."""
    joined: list[Floats] = []
    for place in places:
        whole, apart = place, []
        for other in joined:
            if touches(whole, other[None, :2], other[None, 2:]):
                whole = np.concatenate([np.minimum(whole[:2], other[:2]), np.maximum(whole[2:], other[2:])])
            else:
                apart.append(other)
        joined = [*apart, whole]
    return joined


def touches(place: Floats, low: Floats, high: Floats) -> bool:
    """Whether a place overlaps any of the rectangles from `low` to `high`, both of shape (N, 2)."""
    return bool(((place[:2] < high) & (place[2:] > low)).all(axis=1).any())
