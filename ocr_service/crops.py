"""Lines of text cut out of a photo and stood upright, ready for the recogniser."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_service.quads import Quad
from serving.images import Pixels

TALL = 1.5
"""A crop this many times as high as wide holds text that runs down or up the photo (RapidOCR's rule)."""


SNUG_PX = 40
MARGIN = 0.04
"""Boxes higher than this sit snugly around their text. Such a crop gets this part of its height above and below: the
recogniser reads it as well, and, scaled to the same height, it is narrower and read sooner."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One line of text, cut out.

    Attributes:
        pixels: shape (rows, columns, 3), uint8, BGR; the text runs from left to right,
            or upside down from right to left.
        turns: quarter turns, counter-clockwise, that brought it there: 0, or 1 for text that ran down the photo.
    """

    pixels: Pixels
    turns: int

    @property
    def aspect(self) -> float:
        """Width over height."""
        rows, columns = self.pixels.shape[:2]
        return float(columns / rows)


def cut(pixels: Pixels, quad: Quad) -> Crop:
    """Cuts a line out of the photo, flattening its perspective.

    Args:
        pixels: the photo, shape (rows, columns, 3), uint8.
        quad: corners in pixels of the photo, clockwise from the one that is top left in the photo.
    """
    quad = _with_margin(quad)
    edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    width, height = max(1, int(max(edges[0], edges[2]))), max(1, int(max(edges[1], edges[3])))
    target: NDArray[np.float32] = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    flat = cv2.warpPerspective(
        pixels,
        cv2.getPerspectiveTransform(quad.astype(np.float32), target),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if height / width >= TALL:
        return Crop(np.ascontiguousarray(np.rot90(flat)), 1)
    return Crop(flat.astype(np.uint8, copy=False), 0)


def _with_margin(quad: Quad) -> Quad:
    """A snug quad, a little higher: across the direction in which its text runs."""
    down = (quad[3] - quad[0], quad[2] - quad[1])
    across = (quad[1] - quad[0], quad[2] - quad[3])
    height, width = (float(np.linalg.norm(edge[0] + edge[1])) / 2 for edge in (down, across))
    if min(height, width) < SNUG_PX:
        return quad
    if height < TALL * width:
        left, right = down[0] * MARGIN, down[1] * MARGIN
        return np.stack([quad[0] - left, quad[1] - right, quad[2] + right, quad[3] + left])
    top, bottom = across[0] * MARGIN, across[1] * MARGIN
    return np.stack([quad[0] - top, quad[1] + top, quad[2] + bottom, quad[3] - bottom])
