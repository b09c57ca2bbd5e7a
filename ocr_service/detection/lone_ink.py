"""A closer look at what stands alone in a frame of one colour: a word in a chat, on a slide, on a title page.

The detector weighs the whole of its input against each place in it, and may leave no trace of a word in an empty frame.
There is no need of one: where a frame has one colour, what has another is the word, or a drawing. It is detected by
itself, at the size at which the detector sees text best.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mesh.serving.images import Pixels
from mesh.serving.images.transform import resize
from ocr_service.detection.boxes import Boxes
from ocr_service.detection.missed_text import touches
from ocr_service.detection.small_text import CloserLook

REDUCED = 4
"""Ink is looked for in a photo this many times smaller."""

CONTRAST = 24
MOST_INK = 0.01
"""What differs by so many grey levels from the frame is ink, of which there is no more than this part."""

TOGETHER_PX = 24
"""Ink that is no farther apart, in pixels of the photo, is one place."""

MAX_PLACES = 4
"""Where more places have ink, none stands alone."""

LEAST_PX = 8
"""Ink lower than this, in pixels of the photo, is no text."""

WANTED_PX = 32.0
LARGEST = 3.0
AROUND = 3.0
"""The ink is seen so high, at most this much larger than it is, with so many of its heights around it."""

Floats = NDArray[np.float32]


def lone_ink(pixels: Pixels, boxes: Boxes) -> list[tuple[Floats, CloserLook]]:
    """Places to look at, left, top, right and bottom in pixels of the photo, and how.

    Args:
        pixels: the photo, shape (rows, columns, 3), uint8.
        boxes: what was found; ink that one of them touches is known.
    """
    rows, columns = pixels.shape[:2]
    size = (columns // REDUCED, rows // REDUCED)
    if min(size) < TOGETHER_PX:
        return []
    reduced = resize(pixels, size, cv2.INTER_AREA)
    ground = np.median(reduced.reshape(-1, 3)[::REDUCED], axis=0).astype(np.int16)
    ink = (np.abs(reduced - ground).max(axis=2) > CONTRAST).astype(np.uint8)
    if not 0 < float(ink.mean()) < MOST_INK:
        return []
    low, high = boxes.quads.min(axis=1), boxes.quads.max(axis=1)
    places = [place for place in _places(ink) if not touches(place, low, high)]
    return [(place, _look_at(place, (rows, columns))) for place in places]


def _places(ink: NDArray[np.uint8]) -> list[Floats]:
    """Frames of the ink, in pixels of the photo; none where there are too many."""
    reach = TOGETHER_PX // REDUCED
    joined = cv2.dilate(ink, np.ones((reach + 1, reach + 1), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    if count - 1 > MAX_PLACES:
        return []
    places = []
    for label in range(1, count):
        y, x = np.nonzero((labels == label) & (ink > 0))
        place = REDUCED * np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32)
        if min(place[2] - place[0], place[3] - place[1]) >= LEAST_PX:
            places.append(place)
    return places


def _look_at(place: Floats, size: tuple[int, int]) -> CloserLook:
    height = float(min(place[2] - place[0], place[3] - place[1]))
    around = AROUND * height
    left, top = np.maximum(place[:2] - around, 0).astype(int).tolist()
    right, bottom = np.minimum(place[2:] + around, (size[1], size[0])).astype(int).tolist()
    return CloserLook(left, top, right, bottom, min(LARGEST, WANTED_PX / height))
