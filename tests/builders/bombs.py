"""Small files that claim to be large photos: of zeros, which compress to a thousandth."""

import io
import struct
import zlib
from functools import cache

import PIL.Image

GREY, RGB, RGBA = 0, 2, 6
"""PNG's colour types."""

_CHANNELS = {GREY: 1, RGB: 3, RGBA: 4}
_BLOCK = bytes(1 << 20)


@cache
def png(width: int, height: int, colour: int = GREY, depth: int = 8) -> bytes:
    """A black PNG of this size."""
    row = (width * _CHANNELS[colour] * depth + 7) // 8 + 1
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", _zeros(row * height)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@cache
def float_tiff(width: int, height: int) -> bytes:
    """A TIFF of 32-bit floats in one strip, compressed with deflate."""
    data = _zeros(4 * width * height)
    tags = [(256, width), (257, height), (258, 32), (259, 8), (262, 1), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(data)), (339, 3)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


@cache
def progressive_jpeg(width: int, height: int, more_scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    out = io.BytesIO()
    PIL.Image.new("RGB", (width, height)).save(out, "JPEG", progressive=True, quality=1)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (1 + more_scans) + b"\xff\xd9"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _zeros(count: int) -> bytes:
    packer = zlib.compressobj(1)
    whole, rest = divmod(count, len(_BLOCK))
    return b"".join([*(packer.compress(_BLOCK) for _ in range(whole)), packer.compress(bytes(rest)), packer.flush()])
