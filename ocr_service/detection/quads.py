"""Quadrilaterals around lines of text: four corners, clockwise from the top left, as float32 arrays of shape (4, 2)."""

import numpy as np
from numpy.typing import NDArray

Quad = NDArray[np.float32]
"""Four corners, shape (4, 2), x then y, in pixels."""


def sides(quads: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Length of the longer of each pair of opposite edges.

    Args:
        quads: shape (N, 4, 2), clockwise from the top left.

    Returns:
        widths and heights, each of shape (N,), in pixels.
    """
    edges = np.linalg.norm(np.roll(quads, -1, axis=1) - quads, axis=2)
    return np.maximum(edges[:, 0], edges[:, 2]), np.maximum(edges[:, 1], edges[:, 3])


def areas(quads: NDArray[np.float32]) -> NDArray[np.float32]:
    """Areas by the shoelace formula, shape (N,), of quads of shape (N, 4, 2), in square pixels."""
    x, y = quads[..., 0], quads[..., 1]
    crossed: NDArray[np.float32] = x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y
    doubled: NDArray[np.float32] = np.abs(crossed.sum(axis=1)).astype(np.float32, copy=False)
    return doubled * np.float32(0.5)


def turned(quad: Quad, quarters: int) -> Quad:
    """The same corners, named anew for text that stands `quarters` quarter turns clockwise to the photo."""
    return np.roll(quad, -quarters, axis=0)
