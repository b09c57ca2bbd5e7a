"""Where a call's time went inside a service, for the caller that asks: on the wire as W3C Server-Timing.

A caller sends the metadata `ASK`; the service then measures the call's stages and tells them in the trailer `TOLD`, and
the router hands them on as the header `Server-Timing`. Nobody asks for Immich's own requests, which cost one look at a
variable per stage.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

ASK = "x-immich-mesh-timing"
"""Metadata of a call, and header of a prediction, `1`: to be told where its time went."""
TOLD = "server-timing"
"""Trailer: the stages by `header_value`."""

QUEUE = "queue"
"""Waiting inside the service: for a place, memory, a thread, or a model that is busy."""
LOAD = "load"
"""Waiting until a model is in memory."""
DECODE = "decode"
OTHER = "other"
"""What is left of a call when its stages are taken away: preparing inputs, sorting results."""

MAX_STAGES = 16
_MAX_LENGTH = 1024
_ENTRY = re.compile(r"([a-z][a-z_]{0,31});dur=(\d{1,9}(?:\.\d{1,3})?)")

_Times = list[tuple[int, int]]


class Stages:
    """The stages of one call, whose work may overlap: lines of text are read side by side.

    Args:
        began_ns: when the call came, in nanoseconds since the epoch, as all moments here.
    """

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._times: dict[str, _Times] = {}

    def add(self, stage: str, began_ns: int, ended_ns: int) -> None:
        """Notes that the stage was worked on between two moments."""
        if stage in self._times or len(self._times) < MAX_STAGES - 1:
            self._times[stage] = _merged([*self._times.get(stage, ()), (began_ns, ended_ns)])

    def seconds(self, ended_ns: int) -> dict[str, float]:
        """How long each stage took of a call that ended then. They add up to the whole call: time in which something
        was computed is no waiting, and what no stage claims is `OTHER`.
        """
        told: dict[str, float] = {}
        claimed: _Times = []
        for stage in sorted(self._times, key=lambda stage: stage == QUEUE):
            both = _merged([*claimed, *self._times[stage]])
            if took := _length(both) - _length(claimed):
                told[stage] = took / 1e9
            claimed = both
        whole = max(0, ended_ns - self._began_ns)
        return {**told, OTHER: max(0, whole - _length(claimed)) / 1e9}


_stages: ContextVar[Stages | None] = ContextVar("stages", default=None)


def measured() -> Stages:
    """From now on the stages of the current call are noted in what this gives."""
    stages = Stages(time.time_ns())
    _stages.set(stages)
    return stages


def is_measured() -> bool:
    """Whether the current call's stages are noted."""
    return _stages.get() is not None


def note(stage: str, began_ns: int, ended_ns: int) -> None:
    """Notes a stage of the current call, if somebody asked."""
    if (stages := _stages.get()) is not None:
        stages.add(stage, began_ns, ended_ns)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Notes the enclosed work as a stage of the current call, if somebody asked."""
    if not is_measured():
        yield
        return
    began_ns = time.time_ns()
    try:
        yield
    finally:
        note(name, began_ns, time.time_ns())


def header_value(seconds: Mapping[str, float]) -> str:
    """Stages as W3C Server-Timing, in milliseconds: `decode;dur=12.3, queue;dur=0.4`."""
    return ", ".join(f"{name};dur={1000 * took:.1f}" for name, took in seconds.items())


def parsed(value: str) -> dict[str, float]:
    """The stages of a header value, in seconds; what is none, or more than a service tells, is left out."""
    found: dict[str, float] = {}
    for entry in value[:_MAX_LENGTH].split(", ")[:MAX_STAGES]:
        if match := _ENTRY.fullmatch(entry):
            found[match[1]] = float(match[2]) / 1000
    return found


def _merged(times: _Times) -> _Times:
    """The same time without overlaps, in order."""
    merged: _Times = []
    for began, ended in sorted(times):
        if merged and began <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ended))
        elif ended > began:
            merged.append((began, ended))
    return merged


def _length(times: _Times) -> int:
    return sum(ended - began for began, ended in times)
