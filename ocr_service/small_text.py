"""A second, closer look at the part of a photo where the text is small.

Detection runs on a scaled-down photo. Lines that are only a few pixels high there are found badly: joined, cut
short, or missed beside those that were found. Their region alone is detected again, larger.
"""

from dataclasses import dataclass

import numpy as np

from ocr_service.detector import STRIDE, Boxes
from ocr_service.quads import sides

SMALL_PX = 18.0
"""Lines lower than this, as the detector sees them, are looked at again."""

WANTED_PX = 24.0
"""Height that small lines should have in the second look."""

MAX_LARGER = 2.0
"""Limits of the second look: this many times as large as the photo itself, and this many pixels."""
MAX_PIXELS = 2_400_000

WORTHWHILE = 1.25
"""A second look that is not at least this much larger would find nothing new."""


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
    """Where to look again, or None when no text is small.

    Args:
        boxes: what the first look found, in pixels of the photo.
        size: rows and columns of the photo.
        ratio: size at which the first look saw it.
    """
    if len(boxes) == 0:
        return None
    widths, heights = sides(boxes.quads)
    lows = np.minimum(widths, heights)
    small = lows * ratio < SMALL_PX
    if not small.any():
        return None
    corners = boxes.quads[small].reshape(-1, 2)
    margin = 2 * float(np.median(lows[small]))
    left, top = np.maximum(corners.min(axis=0) - margin, 0).astype(int).tolist()
    right, bottom = np.minimum(corners.max(axis=0) + margin, (size[1], size[0])).astype(int).tolist()
    area = max(1, (right - left) * (bottom - top))
    wanted = min(WANTED_PX / float(np.median(lows[small])), MAX_LARGER, (MAX_PIXELS / area) ** 0.5)
    if wanted < ratio * WORTHWHILE or min(right - left, bottom - top) * wanted < STRIDE / 2:
        return None
    return CloserLook(left, top, right, bottom, wanted)


def merged(first: Boxes, second: Boxes, look: CloserLook) -> Boxes:
    """The boxes of both looks: within the region those of the second, elsewhere those of the first.

    A box of the first look counts as inside when its centre is. One that the region's edge cuts stays when the second
    look found nothing at its centre.
    """
    second = Boxes(second.quads + np.array([look.left, look.top], np.float32), second.scores)
    centres = first.quads.mean(axis=1)
    inside = (
        (centres[:, 0] >= look.left)
        & (centres[:, 0] < look.right)
        & (centres[:, 1] >= look.top)
        & (centres[:, 1] < look.bottom)
    )
    kept = first.where(~inside)
    return Boxes(np.concatenate([kept.quads, second.quads]), np.concatenate([kept.scores, second.scores]))
