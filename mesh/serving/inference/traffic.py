"""The photos of this machine, in whichever service of the mesh: whether one is alone, and who may use how many cores.

A run takes all cores only for a photo that is alone, now and in the last second. Judged by what runs at this very
moment, four clients leave gaps in which one of them looks alone, and its wide run then meets the others' narrow ones on
the same cores. Photos of several services share the cores by what each has to do, or every core would have a run of
each: all of them late, and all of them in the way of a query.

The services of one machine share pages of memory, a file in the models' cache, in which each says until when it has
photos and how much there is to do for them: Immich sends one photo to three of them at once. Services that share no
cache, or no machine, do not hear of each other.
"""

import math
import mmap
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

log = structlog.get_logger()

FILE = ".photos-under-way"
CALM_SECONDS = 1.0
"""So long after several photos were under way at once the next one is not alone."""
LONGEST_SECONDS = 10.0
"""For so long a photo of another process counts as under way at most: it may have died."""
SLOTS = 512
"""Places in the pages. Each process takes one by lot: two that take the same do not hear of each other."""


class Traffic:
    """Counts the photos of one service, and sees whether others have any.

    Args:
        folder: shared by the services of this machine; None for one that shares none.
        clock: seconds since the machine's start, the same for all processes.
        draw: draws this process's slot of so many.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._clock = clock
        self._under_way = 0
        self._crowded_at = float("-inf")
        self._ended_at: float | None = None
        pages = _shared_numbers(folder, 2 * SLOTS)
        self._moments, self._work = pages[:SLOTS], pages[SLOTS:]
        """Until when each process has photos, 0 where there is none; and its pieces of work, which count until then."""
        self._own = draw(SLOTS)

    @contextmanager
    def photo(self) -> Iterator[None]:
        """A photo is worked on in the block."""
        self._under_way += 1
        self._look()
        self._moments[self._own] = self._clock() + LONGEST_SECONDS
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._moments[self._own] = self._ended_at = self._clock()

    def is_alone(self) -> bool:
        """Whether at most one photo is under way, here and elsewhere, and was so in the last second."""
        self._look()
        return self._clock() - self._crowded_at > CALM_SECONDS

    def is_calm(self) -> bool:
        """Whether no photo is under way, here or elsewhere, nor was in the last second."""
        now = self._clock()
        just_now = self._ended_at is not None and now - self._ended_at <= CALM_SECONDS
        return not self._under_way and not just_now and not self._others_had_photos(now)

    def has_work(self, pieces: int) -> None:
        """So many pieces of work, runs and others, are under way or wait in this service."""
        self._work[self._own] = pieces

    def share(self, cores: int) -> int:
        """Pieces of work that this service may have under way when all share so many cores; at least 1."""
        now = self._clock()
        own = self._work[self._own]
        others = sum(
            self._work[slot]
            for slot, moment in enumerate(self._moments)
            if slot != self._own and now <= moment <= now + LONGEST_SECONDS
        )
        if own + others <= cores:
            return cores
        return max(1, math.ceil(cores * own / (own + others)))

    def _look(self) -> None:
        now = self._clock()
        if self._under_way > 1 or self._others_had_photos(now):
            self._crowded_at = now

    def _others_had_photos(self, now: float) -> bool:
        """In the last second, or now."""
        # A moment far ahead is of another machine's clock, or of none.
        return any(
            slot != self._own and now - CALM_SECONDS < moment <= now + LONGEST_SECONDS
            for slot, moment in enumerate(self._moments)
        )


def _shared_numbers(folder: Path | None, count: int) -> "memoryview[float]":
    size = count * 8
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / FILE).open("a+b") as file:
                file.truncate(size)
                return memoryview(mmap.mmap(file.fileno(), size)).cast("d")
        except OSError as error:
            log.info("a photo counts as alone whatever other services do", reason=str(error))
    return memoryview(bytearray(size)).cast("d")
