"""A second, closer look at the part of a photo where the text is small.

Detection runs on a scaled-down photo. Lines that are only a few pixels high there are found badly: joined, cut short,
with boxes twice as high as the text, or missed beside those that were found. Their region alone is detected again, larger.
"""

from dataclasses import dataclass

import numpy as np

from ocr_service.detector import STRIDE, Boxes
from ocr_service.quads import areas, sides

SMALL_PX = 18.0
"""Boxes lower than this, as the detector sees them, are looked at again."""

WANTED_PX = 34.0
"""Height that small boxes should have in the second look."""

MAX_RATIO = 1.5
"""The second look sees the photo at most this much larger than it is."""

TINY_PX = 9.5
MAX_PIXELS, MAX_PIXELS_FOR_TINY = 1_200_000, 2_400_000
"""What the second look may cost: as much as the first, or twice that when text is so small that it is hardly legible."""

WORTHWHILE = 1.4
"""A second look that is not at least this much larger would find nothing new: a page full of print, for example."""

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


def closer_look(boxes: Boxes, size: tuple[int, int], ratio: float) -> CloserLook | None:
    """Where to look again, or None when no text is small or nothing would be gained.

    Args:
        boxes: what the first look found, in pixels of the photo.
        size: rows and columns of the photo.
        ratio: size at which the first look saw it.
    """
    widths, heights = sides(boxes.quads)
    lows = np.minimum(widths, heights)
    small = lows * ratio < SMALL_PX
    if not small.any():
        return None
    corners, height = boxes.quads[small].reshape(-1, 2), float(np.median(lows[small]))
    left, top = np.maximum(corners.min(axis=0) - 2 * height, 0).astype(int).tolist()
    right, bottom = np.minimum(corners.max(axis=0) + 2 * height, (size[1], size[0])).astype(int).tolist()
    area = max(1, (right - left) * (bottom - top))
    budget = MAX_PIXELS_FOR_TINY if height * ratio < TINY_PX else MAX_PIXELS
    wanted = min(WANTED_PX / height, MAX_RATIO, (budget / area) ** 0.5)
    too_thin = min(right - left, bottom - top) * wanted < STRIDE / 2
    if too_thin or wanted < ratio * WORTHWHILE or areas(boxes.quads[small]).sum() < MIN_FILL * area:
        return None
    return CloserLook(left, top, right, bottom, wanted)


def merged(first: Boxes, second: Boxes, look: CloserLook) -> Boxes:
    """The boxes of both looks: those of the second, and those of the first whose centre lies outside its region."""
    second = Boxes(second.quads + np.array([look.left, look.top], np.float32), second.scores)
    x, y = first.quads.mean(axis=1).T
    outside = (x < look.left) | (x >= look.right) | (y < look.top) | (y >= look.bottom)
    kept = first.where(outside)
    return Boxes(np.concatenate([kept.quads, second.quads]), np.concatenate([kept.scores, second.scores]))
