"""When a model that could not be fetched is tried again: later after each failure, so that a blocked hub is neither
hammered nor a reason for a log of megabytes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from mesh.core.errors import MeshError, ModelUnavailableError, UnavailableError

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 300.0


@dataclass(frozen=True)
class _Failure:
    error: MeshError
    times: int
    next_at: float


class FetchBackoff:
    """Remembers what failed, and until when.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, _Failure] = {}
        self._lock = threading.Lock()

    def check(self, model: str) -> None:
        """Raises the last failure while it is too early for another attempt."""
        with self._lock:
            failure = self._failures.get(model)
        if failure is not None and (left := failure.next_at - self._clock()) > 0:
            raise _with_wait(failure.error, left)

    def failed(self, model: str, error: MeshError) -> MeshError:
        """Notes a failed attempt; the error to raise, which says when the next one is due."""
        with self._lock:
            former = self._failures.get(model)
            times = former.times + 1 if former else 1
            wait = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (times - 1))
            self._failures[model] = _Failure(error, times, self._clock() + wait)
        return _with_wait(error, wait)

    def succeeded(self, model: str) -> None:
        """Forgets its failures."""
        with self._lock:
            self._failures.pop(model, None)

    def forget(self) -> None:
        """Everything may be tried at once: it comes from elsewhere now."""
        with self._lock:
            self._failures.clear()


def _with_wait(error: MeshError, seconds: float) -> MeshError:
    """The error for one more caller, without the first one's traceback."""
    if isinstance(error, UnavailableError):
        return ModelUnavailableError(error.message, seconds)
    return type(error)(error.message)
