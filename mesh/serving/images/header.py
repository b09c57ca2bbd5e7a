"""What a photo says of itself: type, size, mode and rotation, read before a single pixel is decoded."""

import io
import struct
import zlib

import PIL.Image
from PIL.ExifTags import Base as ExifTag

from mesh.core.errors import InvalidInputError

# The caller's limit is checked before decoding; Pillow's would warn or raise besides.
PIL.Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_FORMATS_TEXT = "JPEG, PNG, WebP, GIF, BMP or TIFF"

BROKEN = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error, zlib.error)
"""What Pillow raises on bytes that are no image, or that break off. Anything else is a fault of ours and stays one."""


def read_header(data: bytes) -> PIL.Image.Image:
    """The photo, opened and not decoded. Raises InvalidInputError, saying what the bytes look like."""
    if not data:
        raise InvalidInputError(f"the image is empty: send the bytes of a {_FORMATS_TEXT} file")
    try:
        return PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    except BROKEN as error:
        raise InvalidInputError(_not_an_image(data)) from error


def orientation(image: PIL.Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where it is damaged, for the photo itself is well, and for TIFF, which Pillow turns
    while it loads. May load a PNG, whose EXIF may stand at its end."""
    if image.format == "TIFF":
        return 1
    try:
        return int(image.getexif().get(ExifTag.Orientation, 1))
    except BROKEN:
        return 1


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
