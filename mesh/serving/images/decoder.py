"""Decodes a photo, once its header has shown that the service can afford it.

OpenCV decodes what it does fast and right, 8-bit JPEG and WebP; Pillow the rest: CMYK, palettes, transparency, 16 bits,
TIFF, GIF.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from mesh.core.errors import InvalidInputError
from mesh.core.settings import DEFAULT_PHOTO_MEMORY_BYTES
from mesh.serving.images import cost
from mesh.serving.images.colour import to_rgb
from mesh.serving.images.header import BROKEN, orientation, read_header
from mesh.serving.images.jpeg import read_scans

# Photos are worked on side by side, one per compute thread; OpenCV's own threads would only crowd those out.
cv2.setNumThreads(1)

_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}

# EXIF orientations under which rows become columns.
_SIDEWAYS = (5, 6, 7, 8)

Pixels = npt.NDArray[np.uint8]


class ChannelOrder(StrEnum):
    """Order of the colour channels, as a model was trained on."""

    RGB = "rgb"
    BGR = "bgr"


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded photo, the right way up.

    Attributes:
        pixels: uint8 of shape (rows, columns, 3), in C order; smaller than the photo when it was decoded reduced.
        width: width of the full photo in pixels, after rotation; the frame of reference of every reply.
        height: height of the full photo in pixels, after rotation.
        scale: size of `pixels` relative to the full photo: 1, 1/2, 1/4 or 1/8.
    """

    pixels: Pixels
    width: int
    height: int
    scale: float


class OpenPhoto:
    """A photo whose header was read; see `open_photo`. A context that lets the bytes go at its end.

    Attributes:
        width: of the full photo as it is stored, in pixels, before rotation.
        height: likewise.
        divisor: 1, 2, 4 or 8: how much smaller it will be decoded.
        decode_bytes: most memory that decoding takes, in bytes, estimated from the header.
        pixel_bytes: memory that the decoded photo keeps, in bytes.
    """

    def __init__(self, data: bytes, header: PIL.Image.Image, min_short_side: int | None) -> None:
        self._data = data
        self._header = header
        self._by_opencv = _opencv_is_right(header)
        self.width, self.height = width, height = header.size
        is_jpeg = header.format in ("JPEG", "MPO")
        scans = read_scans(data) if is_jpeg else None
        self.divisor = _divisor(min(width, height), min_short_side) if is_jpeg and self._by_opencv else 1
        coefficients = scans.coefficient_bytes if scans else 0
        if self._by_opencv:
            peak = cost.opencv_bytes(width, height, self.divisor, coefficients, webp=not is_jpeg)
        else:
            peak = cost.pillow_bytes(header) + coefficients
        turned = cost.turned_bytes(width, height, self.divisor)  # whether it is, a PNG may say at its end
        self.decode_bytes = max(peak, turned)
        self.pixel_bytes = turned // 2

    def __enter__(self) -> "OpenPhoto":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._header.close()

    def decode(self, order: ChannelOrder) -> Image:
        """The photo's pixels: the first frame, EXIF rotation applied, transparency laid over a backdrop. Once only.

        Raises:
            InvalidInputError: the photo is cut off or damaged. Blocking: call in a thread.
        """
        if self._by_opencv:
            pixels = _decode_opencv(self._data, order, self.divisor)
            turn = orientation(self._header)
        else:
            turn, pixels = _decode_pillow(self._header, order)
        self._header.close()  # Pillow's own copy of the pixels goes before they are turned
        size = (self.height, self.width) if turn in _SIDEWAYS else (self.width, self.height)
        return Image(np.ascontiguousarray(_turn(pixels, turn)), *size, 1 / self.divisor)


def open_photo(data: bytes, *, max_pixels: int, min_short_side: int | None = None) -> OpenPhoto:
    """Reads a photo's header, which says whether it can be afforded.

    Args:
        data: an encoded JPEG, PNG, WebP, GIF, BMP or TIFF.
        max_pixels: limit of width times height.
        min_short_side: lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, which is several times faster, as long
            as its short side keeps this many pixels; None for full size.

    Raises:
        InvalidInputError: `data` is empty, not an image, larger than `max_pixels`, or a JPEG of too many scans.
    """
    header = read_header(data)
    width, height = header.size
    if width * height > max_pixels:
        raise InvalidInputError(
            f"the image is {width}x{height} pixels, more than the limit of {max_pixels} pixels: send a smaller "
            "preview, or raise the service's MAX_IMAGE_PIXELS"
        )
    return OpenPhoto(data, header, min_short_side)


def decode(
    data: bytes,
    *,
    max_pixels: int,
    order: ChannelOrder,
    min_short_side: int | None = None,
    max_bytes: int = DEFAULT_PHOTO_MEMORY_BYTES,
) -> Image:
    """Opens and decodes a photo in one step, for callers that work on one at a time.

    Args:
        data, max_pixels, min_short_side: as for `open_photo`.
        order: order of the colour channels of the result.
        max_bytes: most memory that decoding may take; checked before a pixel is decoded.

    Raises:
        InvalidInputError: as `open_photo` and `OpenPhoto.decode`, or it would take more than `max_bytes`. Blocking.
    """
    with open_photo(data, max_pixels=max_pixels, min_short_side=min_short_side) as photo:
        check_affordable(photo, photo.decode_bytes, max_bytes)
        return photo.decode(order)


def check_affordable(photo: OpenPhoto, needed: int, limit: int) -> None:
    """Raises InvalidInputError when a photo needs more bytes of memory than there are for all photos."""
    if needed > limit:
        raise InvalidInputError(
            f"the image of {photo.width}x{photo.height} pixels would take {needed / 1e6:.0f} MB of memory, more than "
            f"the limit of {limit / 1e6:.0f} MB: send a smaller preview, or raise the service's PHOTO_MEMORY_BYTES"
        )


def _opencv_is_right(header: PIL.Image.Image) -> bool:
    """Whether OpenCV decodes this photo to the same pixels as Pillow, only faster."""
    if header.mode not in ("RGB", "L") or header.has_transparency_data:
        return False
    return header.format in ("JPEG", "MPO") or (header.format == "WEBP" and getattr(header, "n_frames", 1) == 1)


def _divisor(short_side: int, min_short_side: int | None) -> int:
    """The strongest reduction that keeps the short side at `min_short_side` pixels or more."""
    if min_short_side is None:
        return 1
    return next((divisor for divisor in (8, 4, 2) if short_side // divisor >= min_short_side), 1)


def _decode_opencv(data: bytes, order: ChannelOrder, divisor: int) -> Pixels:
    color = cv2.IMREAD_COLOR_RGB if order is ChannelOrder.RGB else cv2.IMREAD_COLOR_BGR
    flags = cv2.IMREAD_IGNORE_ORIENTATION | (_REDUCED[divisor] if divisor > 1 else color)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise _truncated() from error
    if pixels is None:
        raise _truncated()
    if divisor > 1 and order is ChannelOrder.RGB:  # reduced decoding knows only BGR
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return pixels.astype(np.uint8, copy=False)


def _decode_pillow(image: PIL.Image.Image, order: ChannelOrder) -> tuple[int, Pixels]:
    """EXIF's orientation, and the pixels not yet turned by it."""
    try:
        image.load()
        return orientation(image), to_rgb(image, reverse=order is ChannelOrder.BGR)
    except BROKEN as error:
        raise _truncated() from error


def _truncated() -> InvalidInputError:
    return InvalidInputError("the image is cut off or damaged: send the whole file, or render the preview anew")


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Undoes how the camera was held: (rows, columns, 3) to the same, or to (columns, rows, 3)."""
    match orientation:
        case 2:
            return pixels[:, ::-1]
        case 3:
            return pixels[::-1, ::-1]
        case 4:
            return pixels[::-1]
        case 5:
            return pixels.transpose(1, 0, 2)
        case 6:
            return pixels.transpose(1, 0, 2)[:, ::-1]
        case 7:
            return pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return pixels[:, ::-1].transpose(1, 0, 2)
        case _:
            return pixels
