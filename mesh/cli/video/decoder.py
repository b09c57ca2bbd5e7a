"""The process that opens one video and writes pictures of it; `python -m mesh.cli.video.decoder`.

A video is code for a decoder, and this one's is a million lines of C: so it runs by itself, with bounds on memory and
time, knows a few containers alone, and opens nothing but the stream that it was given. Its order is one line of JSON on
standard input (`frames.DecodeOrder`), its answer on standard output JPEG pictures, each after its length.
"""

import io
import json
import resource
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn

import av
import httpx
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mesh.cli.video.frames import LENGTH_BYTES, DecodeOrder
from mesh.cli.video.ranged_file import RangedFile, StreamError

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg"
"""What cameras and phones write. Playlists, which name other files and addresses, are not among them."""

MAX_PIXELS = 8192 * 4320
"""Pictures larger than 8K are not decoded."""

MAX_STEPS = 600
"""Pictures decoded on the way to one that is wanted: a camera's key pictures stand 30 to 250 apart."""

STEP_SECONDS = 2.0
"""How far apart the pictures are of a video that does not say how long it is."""

SHORT_SIDE = 1440
QUALITY = 90
"""Pictures are no larger than Immich's previews."""

UNREADABLE = 3
"""Exit code when the reason is on standard error."""


class UnreadableError(Exception):
    """No picture can be had of it."""


def pictures(source: io.IOBase, count: int) -> Iterator[bytes]:
    """Pictures of a video as JPEG, from the middle of each of `count` equal parts of it; the same picture once.

    Args:
        source: the video; read where it is needed.
        count: at least 1.

    Raises:
        UnreadableError: it is no video, or none of its pictures can be decoded.
        StreamError: from the source.
    """
    try:
        with av.open(source, "r", options={"format_whitelist": CONTAINERS}, io_open=_refused) as container:
            yield from _pictures(container, count)
    except av.FFmpegError as error:
        raise UnreadableError(f"it cannot be decoded: {error.strerror}") from error
    except MemoryError as error:
        raise UnreadableError("decoding it takes too much memory") from error


def _refused(*_: Any) -> NoReturn:
    raise StreamError("it names another file")


def _pictures(container: InputContainer, count: int) -> Iterator[bytes]:
    if not container.streams.video:
        raise UnreadableError("there is no picture in it")
    stream = container.streams.video[0]
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    last, found = None, False
    for moment in _moments(container, stream, count):
        frame = _frame_at(container, stream, moment)
        if frame is None or frame.pts == last:
            continue
        last, found = frame.pts, True
        yield _jpeg(frame)
    if not found:
        raise UnreadableError("none of its pictures can be decoded")


def _moments(container: InputContainer, stream: VideoStream, count: int) -> list[float]:
    """Seconds from the start of the video."""
    seconds = 0.0
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration:
        seconds = container.duration / av.time_base
    if seconds <= 0:
        return [STEP_SECONDS * number for number in range(count)]
    return [seconds * (number + 0.5) / count for number in range(count)]


def _frame_at(container: InputContainer, stream: VideoStream, moment: float) -> VideoFrame | None:
    """The picture that is shown at a moment; the nearest before it where the way there is broken or too long."""
    assert stream.time_base is not None
    wanted = (stream.start_time or 0) + round(moment / stream.time_base)
    reached: VideoFrame | None = None
    try:
        container.seek(wanted, stream=stream)
        for frame in islice(container.decode(stream), MAX_STEPS):
            reached = frame
            if frame.pts is None or frame.pts >= wanted:
                break
    except av.FFmpegError:
        pass  # what was decoded before the damage is as good
    return reached


def _jpeg(frame: VideoFrame) -> bytes:
    ratio = min(1.0, SHORT_SIDE / min(frame.width, frame.height))
    width, height = (max(1, round(side * ratio)) for side in (frame.width, frame.height))
    image = frame.to_image(width=width, height=height)  # type: ignore[no-untyped-call]
    if frame.rotation:
        image = image.rotate(frame.rotation, expand=True)  # counter-clockwise, both
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def main() -> int:
    """The process."""
    order = DecodeOrder(**json.loads(sys.stdin.buffer.readline()))
    resource.setrlimit(resource.RLIMIT_AS, (order.memory_bytes, order.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (order.cpu_seconds, order.cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    av.logging.set_level(av.logging.PANIC)
    try:
        with httpx.Client(headers=order.headers, timeout=60.0, trust_env=order.trust_env) as client:
            source = RangedFile(client, order.url, max_bytes=order.max_bytes)
            for picture in pictures(source, order.count):
                sys.stdout.buffer.write(len(picture).to_bytes(LENGTH_BYTES, "big") + picture)
                sys.stdout.buffer.flush()
    except (UnreadableError, StreamError) as error:
        print(error, file=sys.stderr)
        return UNREADABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
