"""How a CPU runs a graph best: measured when the graph is loaded, not assumed.

Two ways compete: as many single-threaded runs side by side as there are cores (most photos per second on every machine
seen so far), and one run on all cores (soonest answer to a lone request). A few runs of each decide which to keep. On a
machine that is busy with other things nothing can be measured, and both are kept.

What was measured is kept beside the graph (`sessions`) and measured anew after two weeks, when such files go.
"""

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any

from mesh.serving.runtimes.session import Array, ModelSession

MAX_ROUNDS = 3
BUDGET_SECONDS = 1.5
"""No further round begins after this time; the first one always runs."""
WORTHWHILE_GAIN = 1.15
"""A wide session costs its memory a second time: a lone request must be answered this much sooner to be worth it."""
GIVE_UP_AFTER = 2
"""Single-threaded runs in a row that waited for a processor: what is measured then is dropped, and costs a start."""
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

    @classmethod
    def of(cls, noted: Mapping[str, Any] | None) -> "Calibration | None":
        """From a record; None where there is none, or it holds anything but three positive numbers."""
        numbers = [(noted or {}).get(field.name) for field in fields(cls)]
        sound = [number for number in numbers if isinstance(number, float) and 0 < number < math.inf]
        return cls(*sound) if len(sound) == len(numbers) else None

    def noted(self) -> dict[str, Any]:
        """As a record."""
        return asdict(self)

    @property
    def wide_pays_alone(self) -> bool:
        """Whether a lone request is answered enough sooner on all cores."""
        return self.alone_narrow_seconds >= WORTHWHILE_GAIN * self.alone_wide_seconds

    @property
    def wide_pays_always(self) -> bool:
        """Whether one run on all cores beats single-threaded runs even in throughput."""
        return 1 / self.alone_wide_seconds > WORTHWHILE_GAIN * self.side_by_side_per_second


def calibrate(narrow: ModelSession, wide: ModelSession, feeds: Mapping[str, Array], cores: int) -> Calibration | None:
    """Times both ways on inputs of a typical shape, in about ten runs. Blocking.

    Returns:
        The best of each, which is what an undisturbed run takes; None when the machine is too busy to tell.
    """
    for session in (narrow, wide):
        session.run(feeds)  # the first run allocates
    deadline = time.perf_counter() + BUDGET_SECONDS
    alone, alone_wide, side_by_side = [], [], []
    with ThreadPoolExecutor(cores) as threads:
        for _ in range(MAX_ROUNDS):
            alone.append(_timed(narrow, feeds))
            if len(alone) == GIVE_UP_AFTER and min(alone).disturbed:
                return None  # nothing that follows would be taken
            alone_wide.append(_timed(wide, feeds))
            side_by_side.append(_timed(narrow, feeds, threads, cores))
            if time.perf_counter() > deadline:
                break
    best, best_wide, best_beside = min(alone), min(alone_wide), min(side_by_side)
    # A wide run that takes longer than a narrow one is slow only if it had all cores, and not somebody else.
    slowed = best_wide.wall > best.wall and cores * best_wide.wall > BUSY_RATIO * best_wide.processor
    if best.disturbed or best_beside.disturbed or slowed:
        return None
    return Calibration(cores / best_beside.wall, best.wall, best_wide.wall)


@dataclass(frozen=True, order=True)
class _Run:
    """Seconds that runs side by side took, and those that each had a processor on average."""

    wall: float
    processor: float

    @property
    def disturbed(self) -> bool:
        """Whether single-threaded runs waited for a processor."""
        return self.wall > BUSY_RATIO * self.processor


def _timed(
    session: ModelSession, feeds: Mapping[str, Array], threads: ThreadPoolExecutor | None = None, runs: int = 1
) -> _Run:
    """By the processor time of this whole process: a runtime may run graphs on threads of its own."""
    wall, processor = time.perf_counter(), time.process_time()
    if threads is None:
        session.run(feeds)
    else:
        list(threads.map(lambda _: session.run(feeds), range(runs)))
    return _Run(time.perf_counter() - wall, (time.process_time() - processor) / runs)
