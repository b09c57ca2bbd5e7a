"""Lines of text cut out of a photo and stood upright, ready for the recogniser."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mesh.serving.images import Pixels
from mesh.serving.images.transform import MAX_SIDE, fits, remap, warp_perspective
from ocr_service.detection.boxes import Bend, Boxes
from ocr_service.detection.quads import Quad, areas
from ocr_service.recognition.plausible import MOST_OF_THE_PHOTO

TALL = 1.5
"""A crop this many times as high as wide holds text that runs down or up the photo (RapidOCR's rule)."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


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
    """Every box's line, in the order of the boxes; bent ones straightened.

    A bend over most of the photo is hardly text, and costly to straighten: it is cut as if it were straight.
    """
    coverages = areas(boxes.quads) / (pixels.shape[0] * pixels.shape[1])
    crops = []
    for index, quad in enumerate(boxes.quads):
        bend = boxes.bends.get(index) if coverages[index] <= MOST_OF_THE_PHOTO else None
        crops.append((straightened(pixels, bend) if bend else None) or cut(pixels, quad))
    return crops


def cut(pixels: Pixels, quad: Quad) -> Crop:
    """Cuts a line out of the photo, flattening its perspective.

    Args:
        pixels: the photo, shape (rows, columns, 3), uint8.
        quad: corners in pixels of the photo, clockwise from the one that is top left in the photo.
    """
    edges = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    width, height = max(1, round(max(edges[0], edges[2]))), max(1, round(max(edges[1], edges[3])))
    longest = max(width, height)
    if longest > MAX_SIDE:  # longer than any reader looks at: OpenCV makes it no longer
        width, height = (max(1, side * MAX_SIDE // longest) for side in (width, height))
    target: NDArray[np.float32] = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    flat = warp_perspective(pixels, transform.astype(np.float64, copy=False), (width, height))
    if height / width >= TALL:
        return Crop(np.ascontiguousarray(np.rot90(flat)), 1)
    return Crop(flat, 0)


def straightened(pixels: Pixels, bend: Bend) -> Crop | None:
    """Cuts a bent line out of the photo as a straight one.

    Args:
        pixels: the photo, shape (rows, columns, 3), uint8.
        bend: its course.

    Returns:
        The line, or None when it is longer than OpenCV can straighten.
    """
    steps = np.linalg.norm(np.diff(bend.course, axis=0), axis=1)
    travelled = np.concatenate([[0], np.cumsum(steps)])
    columns, rows = max(1, round(float(travelled[-1]))), max(1, round(bend.height))
    if not fits((rows, columns)):
        return None
    along = np.gradient(bend.course, travelled, axis=0)
    down = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    from_middle = np.arange(rows, dtype=np.float32) - np.float32(bend.height / 2)
    x, y = (_plane(columns, from_middle, travelled, bend.course[:, axis], down[:, axis]) for axis in (0, 1))
    # Only the line's surroundings, for a long photo as a whole is too much for remap.
    region = pixels[_shifted_span(y, pixels.shape[0]), _shifted_span(x, pixels.shape[1])]
    strip = remap(region, x, y)
    return None if strip is None else Crop(strip, int(bend.runs_down))


def _plane(columns: int, from_middle: Floats, travelled: Doubles, course: Floats, down: Doubles) -> Floats:
    """One coordinate, in the photo, of every pixel of a straightened line; shape (rows, columns).

    Args:
        columns: pixels along the line.
        from_middle: shape (rows,): how far below the middle of the text each row lies.
        travelled: shape (N,): how far along the line each point of the course lies.
        course, down: shape (N,): this coordinate of these points, and of the unit vector across the text there.
    """
    places = np.arange(columns)
    plane: Floats = np.multiply.outer(from_middle, np.interp(places, travelled, down).astype(np.float32))
    plane += np.interp(places, travelled, course).astype(np.float32)
    return plane


def _shifted_span(places: Floats, length: int) -> slice:
    """The part of one side of the photo, `length` pixels long, that `places` need; they count from its start then."""
    start = min(max(0, math.floor(places.min()) - 1), length - 1)
    end = max(min(length, math.ceil(places.max()) + 2), start + 1)
    places -= start
    return slice(start, end)
