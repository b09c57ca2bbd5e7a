"""From the detector's probability map to boxes: DB's post-processing (Liao et al., 2020), for bent lines too.

The network marks the core of each line, shrunk on all sides; a region of such pixels, grown again, is a line. The core
of a straight line fills the rectangle around it. A bent one leaves most of its rectangle empty, so that the mean within
the rectangle says nothing about it, and a crop of the rectangle is hard to read: its course is kept beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from ocr_service.detection.boxes import NO_BOXES, Bend, Boxes
from ocr_service.detection.quads import Quad, sides

BINARY_THRESHOLD = 0.3
UNCLIP_RATIO = 1.6
MIN_CORE_PX = 3
"""RapidOCR's settings: what counts as core, how far cores grow, and the least side of a core, in pixels of the map."""

SURE = 0.9
"""A region without a box that reaches this probability somewhere is a place where text may have been missed."""

MIN_SIDE_PX = 3
"""A box whose side is no longer than this, in pixels of the photo, holds no text."""

MAX_BOXES = 1000
"""Boxes of one photo that are read, the most certain ones: a page has a hundred, noise may have thousands."""

MAX_CANDIDATES = 5000
"""Regions that are looked at: specks count too, and must not crowd out the text."""

BENT_FILL, BENT_ASPECT = 0.9, 3.0
"""A core may be bent when it fills less of its rectangle than this and is this many times as long as wide."""

BENT = 0.25
"""It is bent when its middle strays from the chord by this part of the core's thickness: a tenth of the text's."""

COURSE_DEGREE, COURSE_POINTS = 5, 24
"""Courses are polynomials of this degree, sampled at this many points: enough for a flag's wave."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Region:
    """One region: corners and course in pixels of the map."""

    quad: Quad
    score: float
    bend: Bend | None


def to_boxes(probabilities: Floats, size: tuple[int, int], min_score: float) -> Boxes:
    """Boxes around the regions of a probability map.

    Args:
        probabilities: shape (rows, columns): the network's output.
        size: rows and columns of the pixels that the boxes refer to.
        min_score: least mean probability within a box, or within a bent line's core.
    """
    core = cv2.dilate((probabilities > BINARY_THRESHOLD).view(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(core, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = [_region(probabilities, contour, min_score) for contour in contours[:MAX_CANDIDATES]]
    regions = [region for region in found if region]
    scale = np.array([size[1] / probabilities.shape[1], size[0] / probabilities.shape[0]], np.float32)
    left_out = [contour for contour, region in zip(contours, found, strict=False) if not region]
    missed = _missed(probabilities, left_out) * np.tile(scale, 2)
    if not regions:
        return replace(NO_BOXES, missed=missed)
    # Whole pixels, rounded down as RapidOCR's are: small print is read better so (x less often as ×).
    quads = np.floor(np.stack([region.quad for region in regions]) * scale)
    np.clip(quads, 0, np.array([size[1] - 1, size[0] - 1], np.float32), out=quads)
    bends = {index: _scaled(region.bend, scale) for index, region in enumerate(regions) if region.bend}
    widths, heights = sides(quads)
    boxes = Boxes(quads, np.array([region.score for region in regions], np.float32), bends, missed)
    boxes = boxes.where((widths > MIN_SIDE_PX) & (heights > MIN_SIDE_PX))
    if len(boxes) <= MAX_BOXES:
        return boxes
    return boxes.where(boxes.scores >= np.partition(boxes.scores, -MAX_BOXES)[-MAX_BOXES])


def _missed(probabilities: Floats, contours: Sequence[MatLike]) -> Floats:
    """Left, top, right and bottom, in pixels of the map, of the regions that are surely text somewhere."""
    frames = [cv2.boundingRect(contour) for contour in contours]
    missed = [
        (left, top, left + width, top + height)
        for left, top, width, height in frames
        if probabilities[top : top + height, left : left + width].max() >= SURE
    ]
    return np.array(missed, np.float32).reshape(-1, 4)


def _scaled(bend: Bend, scale: Floats) -> Bend:
    """A bend of the map in pixels of the photo, which are `scale` (x, y) times as many: its height lies across it."""
    return replace(bend, course=bend.course * scale, height=bend.height * float(scale[0 if bend.runs_down else 1]))


def _region(probabilities: Floats, contour: MatLike, min_score: float) -> _Region | None:
    """One region as a line of text; None for a speck and for what is too uncertain."""
    frame = cv2.minAreaRect(contour)
    length, thickness = max(frame[1]), min(frame[1])
    if thickness < MIN_CORE_PX:
        return None
    corners = cv2.boxPoints(frame)
    area, perimeter = length * thickness, 2 * (length + thickness)
    bend = None
    if length > BENT_ASPECT * thickness and cv2.contourArea(contour) < BENT_FILL * area:
        bend = _bend(contour, _clockwise(corners))
    if bend:
        area, perimeter = cv2.contourArea(contour), cv2.arcLength(contour, closed=True)
    score = _mean_within(probabilities, contour if bend else corners)
    if score < min_score:
        return None
    growth = 2 * UNCLIP_RATIO * area / perimeter
    grown = cv2.boxPoints((frame[0], (frame[1][0] + growth, frame[1][1] + growth), frame[2]))
    return _Region(_clockwise(grown), score, bend)


def _mean_within(probabilities: Floats, polygon: MatLike) -> float:
    """Mean probability within a polygon, of shape (N, 2) or (N, 1, 2), that may reach beyond the map."""
    rows, columns = probabilities.shape
    points = polygon.reshape(-1, 2)
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int), 0, (columns - 1, rows - 1)).tolist()
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int), 0, (columns - 1, rows - 1)).tolist()
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(points - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(probabilities[top : bottom + 1, left : right + 1], mask)[0])


def _clockwise(corners: MatLike) -> Quad:
    """A rectangle's corners, shape (4, 2), clockwise from the top left one."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    (top_left, bottom_left), (top_right, bottom_right) = (
        pair[np.argsort(pair[:, 1], kind="stable")] for pair in (by_x[:2], by_x[2:])
    )
    return np.stack([top_left, top_right, bottom_right, bottom_left]).astype(np.float32)


def _bend(contour: MatLike, quad: Quad) -> Bend | None:
    """The course of a core within the rectangle `quad`; None when it is straight after all."""
    origin, along, runs_down = _axis(quad)
    across = np.array([-along[1], along[0]])
    left, top, width, height = cv2.boundingRect(contour)
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, [contour], -1, 1, cv2.FILLED, offset=(-left, -top))
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns + left, rows + top], axis=1) - origin
    at = pixels @ along
    places = np.maximum(0, np.round(at)).astype(int)
    counts = np.bincount(places)
    there = counts > 0
    middles = np.bincount(places, weights=pixels @ across)[there] / counts[there]
    steps = np.nonzero(there)[0].astype(float)
    if len(steps) <= COURSE_DEGREE:
        return None
    course = np.polynomial.Polynomial.fit(steps, middles, COURSE_DEGREE)
    chord = np.polynomial.Polynomial.fit(steps, middles, 1)
    thickness = len(pixels) / len(steps)
    if np.abs(course(steps) - chord(steps)).max() < BENT * thickness:
        return None
    growth = UNCLIP_RATIO * cv2.contourArea(contour) / cv2.arcLength(contour, closed=True)
    first, last = float(steps[0]), float(steps[-1])
    along_course = np.linspace(first - growth, last + growth, COURSE_POINTS)
    within = np.clip(along_course, first, last)  # beyond the core's ends, straight on
    offsets = course(within) + course.deriv()(within) * (along_course - within)
    points = origin + along_course[:, None] * along + offsets[:, None] * across
    return Bend(points.astype(np.float32), thickness + 2 * growth, runs_down)


def _axis(quad: Quad) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Where a rectangle's text begins, the unit vector along it, and whether that is down: it is taller than wide."""
    corners = quad.astype(np.float64)
    down, right = corners[3] - corners[0], corners[1] - corners[0]
    if np.linalg.norm(down) > np.linalg.norm(right):
        return (corners[0] + corners[1]) / 2, down / np.linalg.norm(down), True
    return (corners[0] + corners[3]) / 2, right / np.linalg.norm(right), False
