"""How a CPU runs a graph best: measured when the graph is loaded, not assumed.

Two ways compete: as many single-threaded runs side by side as there are cores (most photos per second on every machine
seen so far), and one run on all cores (soonest answer to a lone request). A few runs of each decide which to keep. On a
machine that is busy with other things nothing can be measured, and both are kept.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serving.session import Array, ModelSession

MAX_ROUNDS = 3
BUDGET_SECONDS = 1.5
"""No further round begins after this time; the first one always runs."""
WORTHWHILE_GAIN = 1.15
"""A wide session costs its memory a second time: a lone request must be answered this much sooner to be worth it."""
BUSY_RATIO = 1.2
"""Wall time over processor time of a single-threaded run from which on the machine counts as busy."""


@dataclass(frozen=True)
class Calibration:
    """What was measured.

    Attributes:
        side_by_side_per_second: items per second of single-threaded runs on all cores at once.
        alone_narrow_seconds: one single-threaded run with nothing else going on.
        alone_wide_seconds: one run on all cores with nothing else going on.
    """

    side_by_side_per_second: float
    alone_narrow_seconds: float
    alone_wide_seconds: float

    @property
    def wide_pays_alone(self) -> bool:
        """Whether a lone request is answered enough sooner on all cores."""
        return self.alone_narrow_seconds >= WORTHWHILE_GAIN * self.alone_wide_seconds

    @property
    def wide_pays_always(self) -> bool:
        """Whether one run on all cores beats single-threaded runs even in throughput."""
        return 1 / self.alone_wide_seconds > self.side_by_side_per_second


def calibrate(narrow: ModelSession, wide: ModelSession, feeds: Mapping[str, Array], cores: int) -> Calibration | None:
    """Times both ways on inputs of a typical shape, in about ten runs. Blocking.

    Returns:
        The best of each, which is what an undisturbed run takes; None when the machine is too busy to tell.
    """
    for session in (narrow, wide):
        session.run(feeds)  # the first run allocates
    deadline = time.perf_counter() + BUDGET_SECONDS
    narrow_seconds, wide_seconds, parallel_seconds, processor_seconds = [], [], [], []
    with ThreadPoolExecutor(cores) as threads:
        for _ in range(MAX_ROUNDS):
            before = time.thread_time()
            narrow_seconds.append(_timed(lambda: narrow.run(feeds)))
            processor_seconds.append(time.thread_time() - before)
            wide_seconds.append(_timed(lambda: wide.run(feeds)))
            parallel_seconds.append(_timed(lambda: list(threads.map(lambda _: narrow.run(feeds), range(cores)))))
            if time.perf_counter() > deadline:
                break
    if min(narrow_seconds) > BUSY_RATIO * min(processor_seconds):
        return None
    return Calibration(cores / min(parallel_seconds), min(narrow_seconds), min(wide_seconds))


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
