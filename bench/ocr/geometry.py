"""Areas of polygons and of what two of them share."""

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float32]


def area(polygon: Polygon) -> float:
    """In square pixels."""
    return float(cv2.contourArea(polygon.astype(np.float32)))


def rectangle(polygon: Polygon) -> Polygon:
    """Corners, shape (4, 2), of the smallest rectangle, of any angle, around a polygon."""
    return cv2.boxPoints(cv2.minAreaRect(polygon.astype(np.float32))).astype(np.float32)


def shared_area(one: Polygon, other: Polygon) -> float:
    """Area, in square pixels, that two polygons (N, 2) share; exact also for outlines that curve."""
    low = np.minimum(one.min(axis=0), other.min(axis=0))
    high = np.maximum(one.max(axis=0), other.max(axis=0))
    if (one.max(axis=0) < other.min(axis=0)).any() or (other.max(axis=0) < one.min(axis=0)).any():
        return 0.0
    scale = min(1.0, 1500 / float((high - low).max() + 1))
    shape = tuple(int(side) + 3 for side in ((high - low) * scale)[::-1])
    masks = [np.zeros(shape, np.uint8) for _ in range(2)]
    for mask, polygon in zip(masks, (one, other), strict=True):
        cv2.fillPoly(mask, [np.round((polygon - low) * scale).astype(np.int32)], 1)
    return float(np.count_nonzero(masks[0] & masks[1])) / scale**2
