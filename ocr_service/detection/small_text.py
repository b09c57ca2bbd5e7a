"""A second, closer look at the part of a photo where the text is small.

Detection runs on a scaled-down photo. Lines that are only a few pixels high there are found badly: joined, cut short,
with boxes twice as high as the text, or missed beside those that were found. Their region alone is detected again,
larger; unless the boxes sit tight, as they do on a page of print, or nothing would be gained for the cost.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mesh.serving.images import Pixels
from ocr_service.detection.boxes import Boxes
from ocr_service.detection.quads import Quad, areas, sides
from ocr_service.detection.tiles import STRIDE
from ocr_service.recognition.crops import cut

SMALL_PX = 18.0
"""Boxes lower than this, as the detector sees them, are looked at again."""

WANTED_PX = 34.0
"""Height that small boxes should have in the second look."""

MAX_RATIO = 1.5
"""The second look sees the photo at most this much larger than it is."""

TINY_PX = 9.5
MAX_PIXELS, MAX_PIXELS_FOR_TINY = 1_200_000, 2_400_000
"""What the second look may cost, in pixels: twice as much when text is so small that it is hardly legible."""

WORTHWHILE = 1.4
"""A second look that is not at least this much larger would find nothing new."""

TIGHT_INK = 0.48
INK_CONTRAST = 0.3
INK_SAMPLES = 8
"""Boxes whose ink fills this part of their height are good as they are. Rows of a box count as ink where their contrast
is this part of the strongest row's; a few boxes stand for all."""

MIN_FILL = 0.02
"""Part of the region that its small boxes must cover: two specks at opposite ends are not worth all between them."""


@dataclass(frozen=True, slots=True)
class CloserLook:
    """What to look at again.

    Attributes:
        left, top, right, bottom: the region, in pixels of the photo.
        ratio: size at which the detector should see it, relative to the photo.
    """

    left: int
    top: int
    right: int
    bottom: int
    ratio: float


def closer_look(boxes: Boxes, pixels: Pixels, ratio: float) -> CloserLook | None:
    """Where to look again, or None when no text is small or nothing would be gained.

    Args:
        boxes: what the first look found, in pixels of the photo.
        pixels: the photo, shape (rows, columns, 3), uint8, BGR.
        ratio: size at which the first look saw it.
    """
    widths, heights = sides(boxes.quads)
    lows = np.minimum(widths, heights)
    small = lows * ratio < SMALL_PX
    if not small.any():
        return None
    corners, height = boxes.quads[small].reshape(-1, 2), float(np.median(lows[small]))
    left, top = np.maximum(corners.min(axis=0) - 2 * height, 0).astype(int).tolist()
    right, bottom = (
        np.minimum(corners.max(axis=0) + 2 * height, (pixels.shape[1], pixels.shape[0])).astype(int).tolist()
    )
    area = max(1, (right - left) * (bottom - top))
    tiny = height * ratio < TINY_PX
    budget = MAX_PIXELS_FOR_TINY if tiny else MAX_PIXELS
    wanted = min(WANTED_PX / height, MAX_RATIO, (budget / area) ** 0.5)
    too_thin = min(right - left, bottom - top) * wanted < STRIDE / 2
    if too_thin or wanted < ratio * WORTHWHILE or areas(boxes.quads[small]).sum() < MIN_FILL * area:
        return None
    if not tiny and _boxes_fit_ink(pixels, boxes.quads[small]):
        return None
    return CloserLook(left, top, right, bottom, wanted)


def _boxes_fit_ink(pixels: Pixels, quads: NDArray[np.float32]) -> bool:
    sample = quads[:: max(1, len(quads) // INK_SAMPLES)]
    return float(np.median([_ink_share(pixels, quad) for quad in sample])) >= TIGHT_INK


def _ink_share(pixels: Pixels, quad: Quad) -> float:
    """Part of a box's height that ink fills: 1 for one that fits its text."""
    contrast = cv2.cvtColor(cut(pixels, quad).pixels, cv2.COLOR_BGR2GRAY).std(axis=1)
    contrast -= contrast.min()
    return float((contrast > INK_CONTRAST * contrast.max()).mean())


def merged(first: Boxes, second: Boxes, look: CloserLook) -> Boxes:
    """The boxes of both looks: those of the second, and those of the first whose centre lies outside its region."""
    x, y = first.quads.mean(axis=1).T
    outside = (x < look.left) | (x >= look.right) | (y < look.top) | (y >= look.bottom)
    return first.where(outside).with_more(second.moved(np.array([look.left, look.top], np.float32)))
