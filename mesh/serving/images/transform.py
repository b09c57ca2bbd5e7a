"""Photos through OpenCV's geometry, of whatever shape they are: the one place where pixels of a photo meet it.

OpenCV counts pixels in 16 bits in some of its functions and in 32 in others: beyond that some raise, some answer
wrongly, and some end the process. So no array with a side over `MAX_SIDE` is passed on. A longer one is cut to the part
that is looked at, and shrunk by Pillow where that is still too long. Everything else goes through as it is.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]

MAX_SIDE = 32766
"""Longest side that every function of OpenCV takes and makes."""

_MARGIN = 3
"""Neighbours that an interpolation may ask for beyond the place itself."""


def fits(*shapes: Sequence[int]) -> bool:
    """Whether OpenCV takes arrays of these shapes (rows, columns, ...)."""
    return all(max(shape[:2]) <= MAX_SIDE for shape in shapes)


def resize(pixels: Pixels, size: tuple[int, int], interpolation: int = cv2.INTER_LINEAR) -> Pixels:
    """A photo of shape (rows, columns, 3) in another size (columns, rows)."""
    if fits(pixels.shape, size):
        return cv2.resize(pixels, size, interpolation=interpolation).astype(np.uint8, copy=False)
    return np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BOX, reducing_gap=2.0))


def to_tensor(pixels: Pixels, mean: float, std: float) -> NDArray[np.float32]:
    """A photo of shape (rows, columns, 3) as (1, 3, rows, columns), `mean` taken off and divided by `std`."""
    if fits(pixels.shape):
        return cv2.dnn.blobFromImage(pixels, 1 / std, mean=(mean,) * 3).astype(np.float32, copy=False)
    tensor = pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32, order="C")
    tensor -= np.float32(mean)
    tensor *= np.float32(1 / std)
    return tensor


def warp_affine(pixels: Pixels, transform: Matrix, size: tuple[int, int]) -> Pixels:
    """`size` (columns, rows) pixels of a photo under an affine map of shape (2, 3); black beyond the photo.

    Args:
        pixels: shape (rows, columns, 3).
        transform: from places in the photo to places in the result; can be inverted.
        size: no side over `MAX_SIDE`.
    """
    if not fits(pixels.shape):
        whole = np.vstack([transform, [0, 0, 1]])
        pixels, whole = _looked_at(pixels, whole, size)
        transform = whole[:2]
    return cv2.warpAffine(pixels, transform, size, borderValue=0.0).astype(np.uint8, copy=False)


def warp_perspective(pixels: Pixels, transform: Matrix, size: tuple[int, int]) -> Pixels:
    """`size` (columns, rows) pixels of a photo under a projective map of shape (3, 3); edges repeated beyond the photo.

    Cubic interpolation. Otherwise as `warp_affine`.
    """
    if not fits(pixels.shape):
        pixels, transform = _looked_at(pixels, transform, size)
    flat = cv2.warpPerspective(pixels, transform, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return flat.astype(np.uint8, copy=False)


def remap(pixels: Pixels, x: NDArray[np.float32], y: NDArray[np.float32]) -> Pixels | None:
    """The photo's pixels at places (x, y), which have the result's shape; None when one of them is too long."""
    if not fits(pixels.shape, x.shape):
        return None
    return cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _looked_at(pixels: Pixels, transform: Matrix, size: tuple[int, int]) -> tuple[Pixels, Matrix]:
    """The part of a photo that a map (3, 3) to `size` pixels shows, shrunk when it is too long itself; and its map."""
    corners = np.array([[0, 0, 1], [size[0], 0, 1], [size[0], size[1], 1], [0, size[1], 1]], np.float64).T
    places = np.linalg.inv(transform) @ corners
    x, y = places[:2] / places[2]
    columns, rows = _span(x, pixels.shape[1]), _span(y, pixels.shape[0])
    part = pixels[rows, columns]
    shrunk = tuple(math.ceil(side / math.ceil(side / MAX_SIDE)) for side in part.shape[1::-1])
    back = np.array(
        [
            [part.shape[1] / shrunk[0], 0, columns.start + (part.shape[1] / shrunk[0] - 1) / 2],
            [0, part.shape[0] / shrunk[1], rows.start + (part.shape[0] / shrunk[1] - 1) / 2],
            [0, 0, 1],
        ]
    )
    return resize(part, (shrunk[0], shrunk[1])) if shrunk != part.shape[1::-1] else part, transform @ back


def _span(places: NDArray[np.float64], length: int) -> slice:
    """The part of a side of `length` pixels around `places`; never empty."""
    low, high = float(places.min()), float(places.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return slice(0, length)
    start = min(max(math.floor(low) - _MARGIN, 0), length - 1)
    return slice(start, max(min(math.ceil(high) + _MARGIN, length), start + 1))
