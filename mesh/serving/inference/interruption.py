"""A query does not wait for the photos under way: their runs end where they are, and begin anew when it is answered.

A graph runs for a tenth of a second or more, and what has begun holds its core. Runtimes look between two operators
whether they shall go on, so that a run ends within milliseconds. Its work is lost; what a stream of queries may cost
is bounded: runs end at most once a second, and each at most twice. The other queries share the cores with photos.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mesh.serving import metrics
from mesh.serving.inference.precedence import POLL_SECONDS, Precedence
from mesh.serving.runtimes.session import NOTHING_ENDS_IT, InterruptedRunError, Interruption

T = TypeVar("T")

MAX_INTERRUPTIONS = 2
"""Of one run: begun for the third time it is left alone."""
PAUSE_SECONDS = 1.0
"""Runs that began are left alone for so long after others were ended."""


class Interrupter:
    """Ends the runs of one service while queries are answered on this machine.

    Args:
        precedence: tells when they are.
        sleep: waits between two looks.
    """

    def __init__(self, precedence: Precedence, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._precedence = precedence
        self._sleep = sleep
        self._ends: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._under_way = threading.Event()
        self._closed = False
        self._watcher: threading.Thread | None = None

    def run(self, run: Callable[[Interruption], T]) -> T:
        """The result of `run`, which is begun when no query is answered, and anew when one ended it."""
        for _ in range(MAX_INTERRUPTIONS):
            self._precedence.give_way()
            try:
                return run(self)
            except InterruptedRunError:
                metrics.INTERRUPTED_RUNS.inc()
        self._precedence.give_way()
        return run(NOTHING_ENDS_IT)

    @contextmanager
    def may_end(self, end: Callable[[], None]) -> Iterator[None]:
        """A run goes on in the block, and `end` may be called to end it, from another thread."""
        with self._lock:
            self._ends.add(end)
            self._under_way.set()
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="interrupter", daemon=True)
                self._watcher.start()
        try:
            yield
        finally:
            with self._lock:
                self._ends.discard(end)
                if not self._ends:
                    self._under_way.clear()

    def close(self) -> None:
        """Ends the thread that looks for queries; no run may be under way or follow."""
        self._closed = True
        self._under_way.set()
        if self._watcher is not None:
            self._watcher.join()

    def _watch(self) -> None:
        while self._under_way.wait() and not self._closed:
            if self._precedence.query_under_way:
                with self._lock:
                    for end in self._ends:
                        end()
                self._sleep(PAUSE_SECONDS)
            self._sleep(POLL_SECONDS)
