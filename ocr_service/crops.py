"""Lines of text cut out of a photo and stood upright, ready for the recogniser."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_service.boxes import Bend, Boxes
from ocr_service.quads import Quad
from serving.images import Pixels

TALL = 1.5
"""A crop this many times as high as wide holds text that runs down or up the photo (RapidOCR's rule)."""


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


def cut_all(pixels: Pixels, boxes: Boxes) -> list[Crop]:
    """Every box's line, in the order of the boxes; bent ones straightened."""
    return [
        straightened(pixels, boxes.bends[index]) if index in boxes.bends else cut(pixels, quad)
        for index, quad in enumerate(boxes.quads)
    ]


def cut(pixels: Pixels, quad: Quad) -> Crop:
    """Cuts a line out of the photo, flattening its perspective.

    Args:
        pixels: the photo, shape (rows, columns, 3), uint8.
        quad: corners in pixels of the photo, clockwise from the one that is top left in the photo.
    """
    edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    width, height = max(1, round(max(edges[0], edges[2]))), max(1, round(max(edges[1], edges[3])))
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


def straightened(pixels: Pixels, bend: Bend) -> Crop:
    """Cuts a bent line out of the photo as a straight one.

    Args:
        pixels: the photo, shape (rows, columns, 3), uint8.
        bend: its course.
    """
    steps = np.linalg.norm(np.diff(bend.course, axis=0), axis=1)
    travelled = np.concatenate([[0], np.cumsum(steps)])
    along = np.gradient(bend.course, travelled, axis=0)
    down = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    columns = np.arange(max(1, round(float(travelled[-1]))))
    rows = np.arange(max(1, round(bend.height))) - bend.height / 2
    middle, outward = (
        np.stack([np.interp(columns, travelled, values[:, axis]) for axis in (0, 1)]) for values in (bend.course, down)
    )
    x, y = (middle[:, None, :] + outward[:, None, :] * rows[:, None]).astype(np.float32)
    strip = cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Crop(strip.astype(np.uint8, copy=False), int(bend.runs_down))
