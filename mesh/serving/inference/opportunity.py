"""When a loaded graph is calibrated: while nothing else goes on, and in one service of the machine at a time.

Services that start together would each find the machine busy and learn nothing. Until it is known what pays, both ways
of running are kept, and the files of the graph say at the next start what was found.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from mesh.serving.inference.calibration import Calibration

log = structlog.get_logger()

FILE = ".calibrating"
SETTLE_SECONDS = 10.0
"""So long after a graph was read others may still be read."""
FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 3600.0
"""Between two tries on a machine that others keep busy; the pause doubles up to that."""


class Opportunity:
    """The tries of one graph.

    Args:
        folder: shared by the services of this machine.
        clock: seconds, monotonic.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = folder / FILE
        self._clock = clock
        self._due = clock() + SETTLE_SECONDS
        self._pause = FIRST_PAUSE_SECONDS

    def is_due(self) -> bool:
        """Whether it is time for a try."""
        return self._clock() >= self._due

    def take(self, measure: Callable[[], Calibration | None]) -> Calibration | None:
        """What `measure` gives; None when another service measures now, or the machine is too busy. Blocking."""
        with self._turn() as mine:
            if not mine:
                return None
            found = measure()
        if found is None:
            self._due = self._clock() + self._pause
            self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause)
        return found

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Yields whether no other service of this machine is in the block."""
        try:
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            log.info("calibrated without regard to other services", reason=str(error))
            yield True
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)
