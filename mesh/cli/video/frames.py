"""Pictures of one of Immich's videos, decoded by a process of its own."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec

from mesh.cli.output.outcome import CommandError, ExitCode, one_line

LENGTH_BYTES = 4
"""Each picture comes after its length, in so many bytes, the highest first."""


class VideoError(Exception):
    """This video gives no pictures; the message says why."""


@dataclass(frozen=True)
class DecodeOrder:
    """What the decoder is to do, and what it may take.

    Attributes:
        url: the stream.
        count: how many pictures, at least 1.
        headers: that go with each request; on a command line, other users could read them.
        trust_env: whether the environment's proxies count.
        max_bytes: of the stream that may be fetched.
        memory_bytes: address space of the process; its code alone takes 200 MB.
        cpu_seconds: CPU time of the process.
        wall_seconds: until it is stopped: a disk that wakes, a connection that is slow.
    """

    url: str
    count: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    trust_env: bool = True
    max_bytes: int = 1 << 30
    memory_bytes: int = 2 << 30
    cpu_seconds: int = 120
    wall_seconds: float = 180.0

    def written(self) -> bytes:
        """As one line."""
        return json.dumps(asdict(self)).encode() + b"\n"


def demand_decoder() -> None:
    """Raises CommandError where the library that decodes videos is not installed."""
    if find_spec("av") is None:
        raise CommandError(
            "--video-frames needs PyAV, which is not installed here: run `make install EXTRA=video`, or install "
            "immich-mesh with its extra `video`",
            ExitCode.USAGE,
        )


async def decoded(order: DecodeOrder) -> list[bytes]:
    """Pictures as JPEG, in the order of the video.

    Raises:
        VideoError: it is none that can be decoded, or takes too long or too much memory.
    """
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-P", "-m", "mesh.cli.video.decoder")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(order.wall_seconds):
            output, complaint = await process.communicate(order.written())
    except TimeoutError:
        raise VideoError(f"decoding it takes longer than {order.wall_seconds:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    pictures = list(_parted(output))
    if process.returncode == 0 and pictures:
        return pictures
    reason = complaint.decode(errors="replace").strip().splitlines()[-1:]
    if not reason or (process.returncode or 0) < 0:
        raise VideoError("decoding it takes too much time or memory, or breaks the decoder")
    raise VideoError(one_line(reason[0]))


def _parted(output: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(output):
        end = start + LENGTH_BYTES + int.from_bytes(output[start : start + LENGTH_BYTES], "big")
        yield output[start + LENGTH_BYTES : end]
        start = end
