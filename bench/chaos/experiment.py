"""One scenario: load and trouble together, what came of it, and what was left behind."""

import asyncio
import time
from dataclasses import dataclass

import psutil

from bench.chaos.fleet import Fleet
from bench.chaos.load import SIX_TASKS, Load, Outcome
from bench.chaos.questions import RealQuestions, StubQuestions
from bench.chaos.real_scenarios import REAL_SCENARIOS
from bench.chaos.scenarios import SCENARIOS, Pace

SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class Remains:
    """What the first router holds when nothing is asked of it."""

    memory_bytes: int
    files: int
    threads: int
    active: float
    held: float


@dataclass(frozen=True)
class ExperimentResult:
    """The outcome of one scenario, for the table and the plot.

    Attributes:
        held_requests: requests that had to wait.
        held_seconds: how long they waited, together.
        started: the clock at the beginning, that `Outcome.finished_at` is on.
    """

    scenario: str
    description: str
    outcome: Outcome
    started: float
    seconds: float
    held_requests: float
    held_seconds: float
    retries: float
    before: Remains
    after: Remains


async def experiment(
    fleet: Fleet,
    scenario: str,
    requests: int,
    concurrency: int = 24,
    pace: Pace | None = None,
    tasks: tuple[str, ...] = SIX_TASKS,
    real: bool = False,
) -> ExperimentResult:
    """Runs one scenario on a fleet that is well, and waits until it is well again.

    Args:
        real: whether the fleet's services are real ones; clients then have both URLs, as Immich should.
    """
    trouble = (REAL_SCENARIOS if real else SCENARIOS)[scenario]
    both = real or scenario == "routers"
    questions = RealQuestions() if real else StubQuestions()
    load = Load(fleet.urls if both else fleet.urls[:1], requests, concurrency, tasks, questions)
    before = await remains(fleet)
    held = await _held(fleet)
    started = time.monotonic()
    _, outcome = await asyncio.gather(trouble(fleet, load, pace or Pace()), load.run())
    seconds = time.monotonic() - started
    after_held = await _held(fleet)
    await fleet.ready()
    after = await _settled(fleet, before)
    fresh = (0.0, 0.0, 0.0) if both else held  # a router that was restarted counts from the beginning
    requests_held, seconds_held, retries = (max(0.0, b - a) for a, b in zip(fresh, after_held, strict=True))
    doc = (trouble.__doc__ or "").strip()
    return ExperimentResult(
        scenario, doc, outcome, started, seconds, requests_held, seconds_held, retries, before, after
    )


async def remains(fleet: Fleet) -> Remains:
    """Measures the first router."""
    process = psutil.Process(fleet.routers[0].pid)
    return Remains(
        memory_bytes=process.memory_info().rss,
        files=process.num_fds(),
        threads=process.num_threads(),
        active=await fleet.metric(0, "immich_mesh_upstream_active_requests"),
        held=await fleet.metric(0, "immich_mesh_upstream_held_requests"),
    )


async def _settled(fleet: Fleet, before: Remains) -> Remains:
    """What is left once idle connections are gone, or after a while."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        now = await remains(fleet)
        if (now.files <= before.files and now.active == now.held == 0) or time.monotonic() > end:
            return now
        await asyncio.sleep(0.5)


async def _held(fleet: Fleet) -> tuple[float, float, float]:
    return (
        await fleet.metric(0, "immich_mesh_upstream_held_seconds_count"),
        await fleet.metric(0, "immich_mesh_upstream_held_seconds_sum"),
        await fleet.metric(0, "immich_mesh_upstream_retries_total"),
    )
