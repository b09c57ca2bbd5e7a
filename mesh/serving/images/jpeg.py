"""The scans of a JPEG, counted without decoding one: each is a pass over the whole photo, and costs as much as one.

A progressive photo has about ten. A file of 144 KB may hold 1,500, and keeps a thread busy for many seconds.
"""

import re
import struct
from dataclasses import dataclass

from mesh.core.errors import InvalidInputError

MAX_SCANS = 100
MAX_SCANNED_PIXELS = 4_000_000_000
"""Most scans of a photo, and most pixels of all scans together: ten scans of the largest photo are under half of it."""

MAX_SEGMENTS = 20_000
"""Most marker segments; a photo has some dozen, and a few hundred with a large colour profile."""

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
"""A marker as it stands in coded data: not a stuffed zero, fill, TEM or a restart."""


@dataclass(frozen=True, slots=True)
class JpegScans:
    """How a JPEG is to be decoded.

    Attributes:
        count: scans that hold the photo.
        coefficient_bytes: memory for the coefficients of the whole photo, which a decoder of several scans keeps.
    """

    count: int
    coefficient_bytes: int


def read_scans(data: bytes) -> JpegScans:
    """The scans of the first photo in the file, in time linear in its length.

    Raises:
        InvalidInputError: more scans or segments than a photo has.
    """
    scans = segments = pixels = samples = 0
    progressive = False
    found = _MARKER.search(data, 2)
    while found and (marker := data[found.start() + 1]) != _END_OF_IMAGE:
        start = found.end()
        segments += 1
        if marker in _FRAMES:
            pixels, samples = _frame(data, start)
            progressive = marker == 0xC2
        scans += marker == _START_OF_SCAN
        if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS or segments > MAX_SEGMENTS:
            raise InvalidInputError(
                f"the JPEG has more scans or segments than a photo ({scans} scans): save it anew, or send a preview"
            )
        length = int.from_bytes(data[start : start + 2], "big")
        found = _MARKER.search(data, start + max(2, length))
    buffered = progressive or scans > 1
    return JpegScans(scans, 2 * samples if buffered else 0)


def _frame(data: bytes, start: int) -> tuple[int, int]:
    """Pixels of the frame, and samples of all its components with their subsampling; zeros for a damaged header."""
    try:
        rows, columns, components = struct.unpack_from(">HHB", data, start + 3)
        factors = [data[start + 9 + 3 * index] for index in range(components)]
    except (struct.error, IndexError):
        return 0, 0
    areas = [(factor >> 4) * (factor & 15) for factor in factors]
    largest = max((factor >> 4 for factor in factors), default=1) * max((factor & 15 for factor in factors), default=1)
    return rows * columns, rows * columns * sum(areas) // max(1, largest)
