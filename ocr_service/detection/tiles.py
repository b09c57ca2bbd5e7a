"""Panoramas, detected piece by piece.

The detector weighs the whole of its input against each place in it: a lone sign in a picture five times as wide as high
is outvoted by the emptiness around it. So a long picture is cut into overlapping tiles of ordinary shape, and their
probability maps are put together again before boxes are drawn, so that no line is cut.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LONG = 2.5
"""A picture is long when one side is this many times the other: more than a phone's screen."""

TILE_ASPECT = 2.0
MIN_TILE = 960
"""Tiles are about this many times as long as the short side, and this many pixels or more."""

OVERLAP = 128
STRIDE = 32
"""Neighbours share `OVERLAP` pixels. The network halves its input five times: sizes are multiples of `STRIDE`."""

Floats = NDArray[np.float32]


def tile_spans(length: int, short_side: int) -> list[tuple[int, int]]:
    """Where tiles begin and end along the long side.

    Args:
        length: the long side, in pixels, a multiple of 32.
        short_side: the other side, in pixels.

    Returns:
        Spans of equal size, a multiple of 32, the neighbours overlapping; one span for a picture that is not long.
    """
    wanted = max(MIN_TILE, round(TILE_ASPECT * short_side))
    if length <= max(LONG * short_side, wanted):
        return [(0, length)]
    count = math.ceil((length - OVERLAP) / (wanted - OVERLAP))
    size = math.ceil((length + (count - 1) * OVERLAP) / count / STRIDE) * STRIDE
    starts = [round(index * (length - size) / (count - 1) / STRIDE) * STRIDE for index in range(count)]
    return [(start, start + size) for start in starts]


def cut_tiles(blob: Floats) -> list[Floats]:
    """The network's input, shape (1, 3, rows, columns), as tiles of equal shape along its long side."""
    rows, columns = blob.shape[2:]
    spans = tile_spans(max(rows, columns), min(rows, columns))
    if columns >= rows:
        return [np.ascontiguousarray(blob[:, :, :, start:end]) for start, end in spans]
    return [np.ascontiguousarray(blob[:, :, start:end]) for start, end in spans]


def join_maps(maps: Sequence[Floats], rows: int, columns: int) -> Floats:
    """The tiles' probability maps, each of shape (1, 1, ...), as one of shape (1, 1, rows, columns).

    Where tiles overlap each gives the half that is farther from its edge.
    """
    if len(maps) == 1:
        return maps[0]
    spans = tile_spans(max(rows, columns), min(rows, columns))
    seams = [0, *((end + start) // 2 for (_, end), (start, _) in pairwise(spans)), spans[-1][1]]
    pieces = [
        piece[:, :, :, left - start : right - start] if columns >= rows else piece[:, :, left - start : right - start]
        for piece, (start, _), (left, right) in zip(maps, spans, pairwise(seams), strict=True)
    ]
    return np.concatenate(pieces, axis=3 if columns >= rows else 2)
