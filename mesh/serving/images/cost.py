"""Memory that decoding a photo takes at its peak, estimated from its header: sizes times channels times copies.

Held against what processes take in `tests/unit/mesh/serving/images/test_cost.py`. A bomb is a small file that claims a
size it does not deserve; so the estimate is made before a pixel is decoded.
"""

import PIL.Image

RGB_BYTES = 3

STRIP_PIXELS = 1 << 20
"""Pixels that are brought to RGB at once (`colour`)."""

_STRIP_COPIES = 40
"""Bytes per pixel of a strip, with all the copies that conversion makes of it; most for 32-bit pixels."""

_ROW_POINTER = 8
"""Pillow keeps a pointer for each row, and rows of whole words."""

_ITEM_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
"""Bytes of a pixel in Pillow's memory; 4 for every other mode, RGB too."""

_LOADING_BYTES = {
    # The decoder's own, per pixel: a strip of TIFF may be the whole photo, and its turned copy is one; WebP keeps two
    # canvases and a copy; BMP's runs are joined as one text.
    "TIFF": 4,
    "WEBP": 12,
    "BMP": 4,
}


def pillow_bytes(image: PIL.Image.Image) -> int:
    """Most memory while Pillow decodes this photo and it is brought to RGB, in bytes."""
    width, height = image.size
    row = -(-width * _ITEM_BYTES.get(image.mode, 4) // 4) * 4 + _ROW_POINTER
    strip = max(width, min(width * height, STRIP_PIXELS))
    loading = _LOADING_BYTES.get(image.format or "", 0) * width * height
    if image.format == "TIFF":
        loading = max(loading, row * height)
    return height * row + max(loading, RGB_BYTES * width * height) + strip * _STRIP_COPIES


def opencv_bytes(width: int, height: int, divisor: int, coefficient_bytes: int, *, webp: bool) -> int:
    """Most memory while OpenCV decodes a photo of this size, reduced by `divisor`, in bytes."""
    decoded = RGB_BYTES * (-(-width // divisor)) * (-(-height // divisor))
    return decoded + coefficient_bytes + (4 * width * height if webp else 0)


def turned_bytes(width: int, height: int, divisor: int) -> int:
    """Memory while a decoded photo is turned upright: it and its copy, in bytes."""
    return 2 * RGB_BYTES * (-(-width // divisor)) * (-(-height // divisor))
