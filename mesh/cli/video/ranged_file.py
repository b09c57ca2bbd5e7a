"""A file behind HTTP, read where the decoder asks: of a long video only what lies about its pictures is fetched."""

import io
import re
import time
from collections import OrderedDict
from collections.abc import Callable

import httpx

BLOCK_BYTES = 1 << 20
KEPT_BLOCKS = 16
"""What is fetched at a time, and how much of it stays: a decoder goes back to the index, and reads sound between."""

ATTEMPTS = 4
PASSING = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same block is asked for again, after 1, 2 and 4 seconds."""

_SPAN = re.compile(r"bytes (\d+)-\d+/(\d+)")


class StreamError(Exception):
    """The stream cannot be read; the message says why."""


class RangedFile(io.RawIOBase):
    """Reads a URL that understands ranges, as Immich's playback does.

    Args:
        client: with the caller's credentials.
        url: of the file.
        max_bytes: what may be fetched in all; a file whose index leads in circles ends there.
        sleep: replaces waiting in tests.
    """

    def __init__(
        self, client: httpx.Client, url: str, *, max_bytes: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._url = url
        self._left = max_bytes
        self._sleep = sleep
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._size = -1
        self._size = self._measured()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves on, or back; nothing is fetched. Raises ValueError for a place before the start."""
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if place < 0:
            raise ValueError("before the start of the file")
        self._at = place
        return place

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, of one block; empty at the end.

        Raises:
            StreamError: it was refused, is away, or more than `max_bytes` would be fetched.
        """
        if self._at >= self._size or size == 0:
            return b""
        number, start = divmod(self._at, BLOCK_BYTES)
        block = self._block(number)
        piece = block[start:] if size < 0 else block[start : start + size]
        self._at += len(piece)
        return piece

    def _measured(self) -> int:
        """The file's size, from the answer to its first block."""
        self._block(0)
        return self._size

    def _block(self, number: int) -> bytes:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        self._blocks[number] = self._fetched(number)
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def _fetched(self, number: int) -> bytes:
        if self._left <= 0:
            raise StreamError("too much of it would have to be fetched")
        first = number * BLOCK_BYTES
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(2.0 ** (attempt - 1))
            try:
                status, problem, data = self._asked(first)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__} {error}".strip()
                continue
            if status == 206:
                self._left -= len(data)
                return data
            if status not in PASSING:
                break
        raise StreamError(problem)

    def _asked(self, first: int) -> tuple[int, str, bytes]:
        """Status, what is wrong with it, and the bytes from `first` on; no more of a body is read than asked for."""
        headers = {"Range": f"bytes={first}-{first + BLOCK_BYTES - 1}", "Accept-Encoding": "identity"}
        with self._client.stream("GET", self._url, headers=headers) as reply:
            span = _SPAN.match(reply.headers.get("Content-Range", ""))
            if reply.status_code != 206 or span is None or int(span[1]) != first:
                return reply.status_code if reply.status_code != 206 else 416, _problem(reply), b""
            data = bytearray()
            for piece in reply.iter_bytes():
                data += piece
                if len(data) >= BLOCK_BYTES:
                    break
            self._size = int(span[2])
            return 206, "", bytes(data[:BLOCK_BYTES])


def _problem(reply: httpx.Response) -> str:
    if reply.is_success:
        return "Immich does not answer parts of the video"
    return f"Immich answers {reply.status_code} when asked for the video"
