"""Small files that others rewrite while this process runs: certificates, tokens. What they held last time stays until
they hold something new and whole."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

LOOK_EVERY_SECONDS = 1.0


class WatchedFiles(Generic[T]):
    """What some files hold, read again when they change. May be asked from any thread.

    Args:
        paths: looked at together; a change of one is a change of all. Links are followed, as Kubernetes swaps them.
        read: their content. Raises OSError for files that are no use, such as half of a new pair.
        clock: seconds, monotonic; the files are looked at once a second at most.

    Raises:
        OSError: from the first `read`.
    """

    def __init__(
        self, paths: Sequence[Path], read: Callable[[], T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._paths = tuple(paths)
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._state = self._look()
        self._looked = clock()
        self._value = read()

    def current(self, *, look: bool = False) -> T:
        """The content now; the former one while the files are missing or of no use. `look` does so at once."""
        with self._lock:
            now = self._clock()
            if look or now - self._looked >= LOOK_EVERY_SECONDS:
                self._looked = now
                self._renew()
            return self._value

    def _renew(self) -> None:
        state = self._look()
        if state == self._state:
            return
        try:
            value = self._read()
        except OSError as error:
            self._state = state  # told once; looked at again when they change again
            log.warning("changed files are of no use, the former content stays", files=self._names(), reason=str(error))
            return
        if self._look() != state:
            return  # in the middle of being written: what was read may be of two ages
        self._state, self._value = state, value
        log.info("files were read again", files=self._names())

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(map(_stamp, self._paths))

    def _names(self) -> list[str]:
        return [str(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
