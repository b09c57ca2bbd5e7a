"""The sessions of one graph on a processor, and which of them a run takes.

Parallel runs of a single-threaded session give the most photos per second; a photo that is alone is answered sooner by
a run on all cores. What pays is measured once (`calibration`), some time after the start (`opportunity`), and kept
beside the graph: a later start opens those sessions alone that are used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from mesh.serving.inference.calibration import Calibration, calibrate
from mesh.serving.runtimes.selection import RuntimeChoice
from mesh.serving.runtimes.session import Feeds, ModelSession, dummy_feeds

log = structlog.get_logger()

Measure = Callable[[ModelSession, ModelSession, Feeds, int], Calibration | None]


@dataclass(frozen=True)
class Sessions:
    """What is open of a graph.

    Attributes:
        narrow: of single-threaded runs, of which as many go side by side as there are cores.
        wide: of runs on all cores; may be the same session.
        always_wide: no run is narrow.
        memory_bytes: of all weights, those that both share once.
        measure: finds out what pays, and keeps it; None where that is known, or cannot be told. Blocking.
    """

    narrow: ModelSession
    wide: ModelSession
    always_wide: bool
    memory_bytes: int
    measure: Callable[[], Calibration | None] | None = None

    @classmethod
    def one(cls, session: ModelSession, *, wide: bool = False) -> "Sessions":
        """A graph with one session."""
        return cls(session, session, wide, session.memory_bytes)

    @classmethod
    def best(
        cls,
        chosen: RuntimeChoice,
        cores: int,
        typical_axes: Mapping[int, int] | None,
        *,
        which: Mapping[str, str],
        measure: Measure = calibrate,
    ) -> "Sessions":
        """Those that pay: both where that is not known. Blocking; raises what opening raises.

        Args:
            chosen: how sessions are opened, and where it is kept what was measured.
            cores: threads of a wide run.
            typical_axes: as an engine's.
            which: the graph, for the log.
            measure: times narrow against wide runs.
        """
        conditions = ("calibration", str(cores), str(sorted((typical_axes or {}).items())))
        known = Calibration.of(chosen.records.read(*conditions)) if chosen.records else None
        if known is not None and known.wide_pays_always:
            return cls.one(chosen.open(cores), wide=True)
        narrow = chosen.open(1)
        if known is not None and not known.wide_pays_alone:
            return cls.one(narrow)
        wide = chosen.open(cores)

        def find_out() -> Calibration | None:
            found = measure(narrow, wide, dummy_feeds(narrow.inputs, typical_axes or {}), cores)
            _tell(found, which)
            if found is not None and chosen.records:
                chosen.records.write(found.noted(), *conditions)
            return found

        shapes_known = all(size is not None for info in narrow.inputs for size in info.shape[1:])
        unknown = known is None and (typical_axes is not None or shapes_known)
        copy = 0 if chosen.shares_weights else wide.memory_bytes
        return cls(narrow, wide, False, narrow.memory_bytes + copy, find_out if unknown else None)

    def of_run(self, *, alone: bool) -> ModelSession:
        """The session for a run that has all cores to itself, or not."""
        return self.wide if alone or self.always_wide else self.narrow

    def settled(self, found: Calibration, *, in_use: bool) -> "Sessions":
        """Those that are kept now that it was measured what pays; a wide one that does not is closed, unless in use.

        Where wide runs win always, only a later start has them alone: the workers are counted when a model is read.
        """
        if found.wide_pays_alone or in_use:
            return replace(self, measure=None)
        self.wide.close()
        return Sessions.one(self.narrow)

    def close(self) -> None:
        """Gives the memory back."""
        self.narrow.close()
        if self.wide is not self.narrow:
            self.wide.close()


def _tell(measured: Calibration | None, which: Mapping[str, str]) -> None:
    if measured is None:
        log.info("not calibrated: the machine is busy", **which)
        return
    log.info(
        "calibrated",
        **which,
        side_by_side_per_second=round(measured.side_by_side_per_second, 2),
        alone_wide_ms=round(measured.alone_wide_seconds * 1000, 1),
        alone_narrow_ms=round(measured.alone_narrow_seconds * 1000, 1),
    )
