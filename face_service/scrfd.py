"""What SCRFD's output means: from scores and distances per anchor to boxes and landmarks.

SCRFD (Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021) looks at the photo on
three or five grids of 8, 16, 32 (64, 128) pixels. For every anchor, a point of a grid, it gives a score, the distances
to the four edges of a face and the offsets to its five landmarks, in units of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

OVERLAP = 0.4
"""Intersection over union above which the less certain of two boxes is the same face; InsightFace's value."""

STRIDES = {3: (8, 16, 32), 5: (8, 16, 32, 64, 128)}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FaceCandidates:
    """Detections, the most certain first, in pixels of the detector's input.

    Attributes:
        scores: shape (n,), 0 to 1.
        boxes: shape (n, 4): left, top, right, bottom.
        landmarks: shape (n, 5, 2).
    """

    scores: Floats
    boxes: Floats
    landmarks: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[np.intp]) -> "FaceCandidates":
        return FaceCandidates(self.scores[rows], self.boxes[rows], self.landmarks[rows])


NOBODY = FaceCandidates(np.empty(0, np.float32), np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32))


@dataclass(frozen=True, slots=True)
class _Level:
    """One grid's output: (anchors, 1), (anchors, 4) and (anchors, 10)."""

    stride: int
    scores: Floats
    distances: Floats
    offsets: Floats


def decode(outputs: Sequence[Floats], size: tuple[int, int], min_score: float) -> FaceCandidates:
    """The anchors that are faces, `min_score` certain or more.

    Args:
        outputs: the graph's for one photo, with or without a batch axis of 1, in any order.
        size: rows and columns of the detector's input, in pixels.
        min_score: 0 to 1.

    Raises:
        ValueError: these are no outputs of an SCRFD with landmarks.
    """
    parts = [_above(level, size, min_score) for level in _levels(outputs)]
    scores, boxes, landmarks = (np.concatenate(part) for part in zip(*parts, strict=True))
    return FaceCandidates(scores, boxes, landmarks)[np.argsort(-scores, kind="stable")]


def suppress(candidates: FaceCandidates, limit: int, overlap: float = OVERLAP) -> FaceCandidates:
    """Keeps the most certain of boxes that overlap (greedy non-maximum suppression), at most `limit`.

    Edges belong to the boxes, as InsightFace counts: a box from 3 to 5 is 3 wide.
    """
    left, top, right, bottom = candidates.boxes.T
    areas = (right - left + 1) * (bottom - top + 1)
    kept: list[int] = []
    rest = np.arange(len(candidates))
    while rest.size and len(kept) < limit:
        first, others = rest[0], rest[1:]
        kept.append(int(first))
        width = np.minimum(right[first], right[others]) - np.maximum(left[first], left[others]) + 1
        height = np.minimum(bottom[first], bottom[others]) - np.maximum(top[first], top[others]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        rest = others[shared / (areas[first] + areas[others] - shared) <= overlap]
    return candidates[np.array(kept, np.intp)]


def _levels(outputs: Sequence[Floats]) -> list[_Level]:
    """Sorts the outputs by what they are: the finest grid has most anchors."""
    by_width: dict[int, list[Floats]] = {1: [], 4: [], 10: []}
    for output in outputs:
        rows = output.reshape(-1, output.shape[-1])
        if rows.shape[1] not in by_width:
            raise ValueError(f"the detector gave an output of width {rows.shape[1]}, not 1, 4 or 10")
        by_width[rows.shape[1]].append(rows)
    for group in by_width.values():
        group.sort(key=len, reverse=True)
    counts = {len(group) for group in by_width.values()}
    if len(counts) != 1 or (strides := STRIDES.get(counts.pop())) is None:
        raise ValueError(f"the detector gave {len(outputs)} outputs; SCRFD with landmarks gives 9 or 15")
    return [_Level(*level) for level in zip(strides, *by_width.values(), strict=True)]


def _above(level: _Level, size: tuple[int, int], min_score: float) -> tuple[Floats, Floats, Floats]:
    """Scores, boxes and landmarks of the anchors that are certain enough."""
    rows = np.flatnonzero(level.scores[:, 0] >= min_score)
    cells = (size[0] // level.stride) * (size[1] // level.stride)
    anchors = _anchors(size, level.stride, len(level.scores) // cells)[rows]
    distances = level.distances[rows] * level.stride
    boxes = np.concatenate([anchors - distances[:, :2], anchors + distances[:, 2:]], axis=1)
    landmarks = anchors[:, np.newaxis] + level.offsets[rows].reshape(-1, 5, 2) * level.stride
    return level.scores[rows, 0], boxes, landmarks


@lru_cache(maxsize=16)
def _anchors(size: tuple[int, int], stride: int, per_cell: int) -> Floats:
    """Positions (x, y) of a grid's anchors, row by row, shape (anchors, 2)."""
    y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
    points = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32) * np.float32(stride)
    return np.repeat(points, per_cell, axis=0)
