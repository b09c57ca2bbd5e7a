"""How a CPU runs a graph best: measured when the graph is loaded, not assumed.

Two ways compete: as many single-threaded runs side by side as there are cores (most photos per second on every machine
seen so far), and one run on all cores (soonest answer to a lone request). A few runs of each decide which to keep.
"""

import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serving.session import Array, ModelSession

ROUNDS = 3
WORTHWHILE_GAIN = 1.15
"""A wide session costs its memory a second time: a lone request must be answered this much sooner to be worth it."""


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


def calibrate(narrow: ModelSession, wide: ModelSession, feeds: Mapping[str, Array], cores: int) -> Calibration:
    """Times both ways on inputs of a typical shape; takes about ten runs. Blocking."""
    for session in (narrow, wide):
        session.run(feeds)  # the first run allocates

    def alone(session: ModelSession) -> float:
        started = time.perf_counter()
        session.run(feeds)
        return time.perf_counter() - started

    with ThreadPoolExecutor(cores) as threads:

        def side_by_side() -> float:
            started = time.perf_counter()
            list(threads.map(lambda _: narrow.run(feeds), range(cores)))
            return cores / (time.perf_counter() - started)

        return Calibration(
            side_by_side_per_second=statistics.median(side_by_side() for _ in range(ROUNDS)),
            alone_narrow_seconds=min(alone(narrow) for _ in range(ROUNDS)),
            alone_wide_seconds=min(alone(wide) for _ in range(ROUNDS)),
        )
