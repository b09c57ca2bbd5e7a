"""Small videos, made by the library that decodes them."""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.stream import VideoStream

Colour = tuple[int, int, int]

RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 180, 40), (30, 40, 200), (120, 120, 120)

_UPRIGHT = bytes.fromhex("00010000" + 12 * "00" + "00010000" + 12 * "00" + "40000000")
_TURNED = bytes.fromhex(4 * "00" + "00010000" + 4 * "00" + "ffff0000" + 16 * "00" + "40000000")
"""The matrix of an MP4 track: as it is, and to be shown a quarter turn clockwise, as a phone held upright writes it."""


def video(
    scenes: Sequence[Colour],
    *,
    right: Colour | None = None,
    seconds: int = 1,
    size: tuple[int, int] = (96, 64),
    container: str = "mp4",
) -> bytes:
    """Scenes of one colour each, ten pictures a second; their right half has another one where it is given.

    `webm` says nothing of its length, as when it was streamed.
    """
    written = io.BytesIO()
    codec, options = ("mpeg4", None) if container == "mp4" else ("libvpx", {"live": "1"})
    with av.open(written, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 10)
        for number, colour in enumerate(scene for scene in scenes for _ in range(10 * seconds)):
            pixels = np.full((size[1], size[0], 3), colour, np.uint8)
            pixels[:, size[0] // 2 :] = right or colour
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return written.getvalue()


def turned(mp4: bytes) -> bytes:
    """The same video, to be shown a quarter turn clockwise."""
    head, track, rest = mp4.partition(b"tkhd")
    assert _UPRIGHT in rest
    return head + track + rest.replace(_UPRIGHT, _TURNED, 1)
