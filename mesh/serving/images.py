"""From the bytes of a photo to pixels: the first step of every pipeline.

Pillow reads the header, so that type, size and rotation are known before a single pixel is decoded. OpenCV then decodes
what it does fast and right, 8-bit JPEG and WebP; Pillow the rest: CMYK, palettes, transparency, 16 bits, TIFF, GIF.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageCms
from PIL.ExifTags import Base as ExifTag

from mesh.core.errors import InvalidInputError

# `decode` has its own limit, told by the caller and checked before decoding; Pillow's would warn or raise besides.
PIL.Image.MAX_IMAGE_PIXELS = None

# Photos are worked on side by side, one per compute thread; OpenCV's own threads would only crowd those out.
cv2.setNumThreads(1)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_FORMATS_TEXT = "JPEG, PNG, WebP, GIF, BMP or TIFF"

# What Pillow raises on bytes that are no image, or that break off. Anything else is a fault of ours and stays one.
_BROKEN = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error, zlib.error)

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


def decode(data: bytes, *, max_pixels: int, order: ChannelOrder, min_short_side: int | None = None) -> Image:
    """Decodes a photo: the first frame, EXIF rotation applied, transparency laid over white.

    Args:
        data: an encoded JPEG, PNG, WebP, GIF, BMP or TIFF.
        max_pixels: limit of width times height; checked on the header, so that a bomb costs nothing.
        order: order of the colour channels of the result.
        min_short_side: lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, which is several times faster, as long
            as its short side keeps this many pixels; None for full size.

    Raises:
        InvalidInputError: `data` is empty, not an image, cut off, or larger than `max_pixels`.
            Blocking: call in a thread.
    """
    with _open(data) as header:
        width, height = header.size
        if width * height > max_pixels:
            raise InvalidInputError(
                f"the image is {width}x{height} pixels, more than the limit of {max_pixels} pixels: send a smaller "
                "preview, or raise the service's MAX_IMAGE_PIXELS"
            )
        if _opencv_is_right(header):
            divisor = _divisor(min(width, height), min_short_side) if header.format in ("JPEG", "MPO") else 1
            pixels = _decode_opencv(data, order, divisor)
        else:
            divisor = 1
            pixels = _decode_pillow(header, order)
        orientation = _orientation(header)
    if orientation in _SIDEWAYS:
        width, height = height, width
    return Image(np.ascontiguousarray(_turn(pixels, orientation)), width, height, 1 / divisor)


def _open(data: bytes) -> PIL.Image.Image:
    """Reads the header only."""
    if not data:
        raise InvalidInputError(f"the image is empty: send the bytes of a {_FORMATS_TEXT} file")
    try:
        return PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    except _BROKEN as error:
        raise InvalidInputError(_not_an_image(data)) from error


def _not_an_image(data: bytes) -> str:
    """Says what the bytes look like, and what to send instead."""
    start = data[:1024].lstrip().lower()
    if b"<svg" in start or start.startswith(b"<?xml"):
        found = "the image is an SVG drawing"
    elif start.startswith((b"<!doctype", b"<html", b"{")):
        found = "the image is a text document (an error page?)"
    elif data[4:8] == b"ftyp":
        found = "the image is a HEIC, AVIF or video file"
    elif start.startswith(b"%pdf"):
        found = "the image is a PDF document"
    else:
        found = "the image is of no known type, or damaged"
    return f"{found}: send the photo as {_FORMATS_TEXT}"


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


def _decode_pillow(image: PIL.Image.Image, order: ChannelOrder) -> Pixels:
    try:
        image.load()
        pixels = np.asarray(_to_rgb(image))
    except _BROKEN as error:
        raise _truncated() from error
    return pixels if order is ChannelOrder.RGB else pixels[:, :, ::-1]


def _truncated() -> InvalidInputError:
    return InvalidInputError("the image is cut off or damaged: send the whole file, or render the preview anew")


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Any of Pillow's modes to 8-bit RGB: high bit depths keep their brightness, transparency lies on white."""
    if image.mode.startswith("I;16"):
        return PIL.Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return PIL.Image.fromarray(_stretch(np.asarray(image, np.float64))).convert("RGB")
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        backdrop = PIL.Image.new("RGB", image.size, "white")
        backdrop.paste(image, mask=image.getchannel("A"))
        return backdrop
    return image.convert("RGB")


def _stretch(values: npt.NDArray[np.float64]) -> Pixels:
    """32-bit and float pixels have no fixed white: the brightest becomes white, the darkest black."""
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    return ((values - low) * (255 / ((high - low) or 1))).round().astype(np.uint8)


def _lab_to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    lab, srgb = PIL.ImageCms.createProfile("LAB"), PIL.ImageCms.createProfile("sRGB")
    converted = PIL.ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("no conversion from LAB")
    return converted


def _orientation(image: PIL.Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where it is damaged, for the photo itself is well, and for TIFF, which Pillow turns
    while it loads."""
    try:
        return int(image.getexif().get(ExifTag.Orientation, 1))
    except _BROKEN:
        return 1


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
