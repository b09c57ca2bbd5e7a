"""Queries go first: while one is answered on this machine, no bulk run begins, in whichever process of the mesh.

The services of one machine share a page of memory, a file in the models' cache, that holds the moment until which bulk
work waits. A query moves it on while it is answered; a process that dies leaves a moment that passes by itself.
Services that share no cache, or no machine, do not hear of each other; containers have shares of the processor instead.
"""

import mmap
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

log = structlog.get_logger()

FILE = ".query-under-way"
HOLD_SECONDS = 0.25
"""How long one query may keep bulk work from beginning: several times what its run takes."""
LONGEST_WAIT_SECONDS = 1.0
"""A bulk run begins after that however many queries there are."""
POLL_SECONDS = 0.003

_MOMENT = struct.Struct("<d")


class Precedence:
    """The moment until which bulk runs wait.

    Args:
        folder: shared by the services of this machine; None for those of this process alone.
        clock: seconds since the machine's start, the same for all processes.
        sleep: waits.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._page = _shared_page(folder)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._queries = 0

    @contextmanager
    def query(self) -> Iterator[None]:
        """A query is answered in the block."""
        with self._lock:
            self._queries += 1
            self._set(self._clock() + HOLD_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._queries -= 1
                if not self._queries:
                    self._set(0.0)

    @property
    def query_under_way(self) -> bool:
        """Whether one is answered now, in whichever process."""
        # A moment far ahead is of another machine's clock, or of none.
        return 0 < self._get() - self._clock() <= HOLD_SECONDS

    def give_way(self) -> None:
        """Blocks a bulk run that is about to begin, while queries are answered."""
        started = self._clock()
        while self.query_under_way and self._clock() - started < LONGEST_WAIT_SECONDS:
            self._sleep(POLL_SECONDS)

    def _get(self) -> float:
        (moment,) = _MOMENT.unpack_from(self._page)
        return float(moment)

    def _set(self, moment: float) -> None:
        _MOMENT.pack_into(self._page, 0, moment)


def _shared_page(folder: Path | None) -> "mmap.mmap | bytearray":
    if folder is None:
        return bytearray(_MOMENT.size)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / FILE).open("a+b") as file:
            file.truncate(mmap.PAGESIZE)
            return mmap.mmap(file.fileno(), mmap.PAGESIZE)
    except OSError as error:
        log.info("queries go first within this process alone", reason=str(error))
        return bytearray(_MOMENT.size)
