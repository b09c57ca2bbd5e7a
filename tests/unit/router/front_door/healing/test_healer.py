"""The healer: when it is due, what it starts, what it leaves alone, and what a planned stop leaves behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from router.config.front_door import FrontDoorSettings
from router.config.healing import HealingSettings
from router.front_door.healing.coordination import Coordination, FileCoordination, NoCoordination
from router.front_door.healing.healer import Healer
from router.front_door.healing.metrics import HealingMetrics
from router.front_door.healing.queues import ImmichQueues, Queue
from router.front_door.healing.service import why_off
from router.front_door.healing.status import Cause, HealerState, Wait
from router.front_door.immich.api import ImmichApi
from tests.doubles.immich import DoubleKey, ImmichDouble

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE = timedelta(seconds=HealingSettings().settle_seconds)
VERSIONS = pytest.mark.parametrize("version", [(2, 2, 3), (2, 7, 5), (3, 0, 3), (3, 2, 2)], ids=str)


@dataclass
class LostRun:
    """Photos of a forced run that was lost whole."""

    photos: int = 0

    async def requeue_lost_text(self, limit: int) -> int:
        taken = min(limit, self.photos)
        self.photos -= taken
        return taken


@dataclass
class Situation:
    """One healer, the Immich that it heals, and what surrounds both."""

    healer: Healer
    immich: ImmichDouble
    lost: LostRun
    registry: CollectorRegistry
    time: float = 0.0
    failures: float = 0.0
    can_serve: bool = True
    marks: list[str] = field(default_factory=list)

    def started(self) -> list[int]:
        return [self.immich.queues[queue].started for queue in Queue]

    def paused(self) -> list[bool]:
        return [self.immich.queues[queue].paused for queue in Queue]

    async def pass_time(self, seconds: float, step: float = 15.0) -> None:
        """Lets the healer look as often as it does in so much time."""
        end = self.time + seconds
        while self.time < end:
            await self.healer.check()
            self.time += step


@asynccontextmanager
async def situation(
    version: tuple[int, int, int] = (3, 0, 3),
    coordination: Coordination | None = None,
    immich: ImmichDouble | None = None,
    lost: LostRun | None = None,
    **settings: Any,
) -> AsyncIterator[Situation]:
    double = immich or ImmichDouble(version)
    if immich is None:
        double.user("admin", "admin-key").admin = True
    registry = CollectorRegistry()
    lost_run = lost or LostRun()
    async with aiohttp.ClientSession() as session:
        if immich is None:
            async with double.running():
                yield _situation(double, session, coordination, lost_run, registry, settings)
        else:
            yield _situation(double, session, coordination, lost_run, registry, settings)


def _situation(
    double: ImmichDouble,
    session: aiohttp.ClientSession,
    coordination: Coordination | None,
    lost: LostRun,
    registry: CollectorRegistry,
    settings: dict[str, Any],
) -> Situation:
    made: Situation
    place: list[Situation] = []
    healer = Healer(
        ImmichQueues(ImmichApi(session, double.url), "admin-key"),
        coordination or NoCoordination(),
        lost,
        lambda: place[0].failures if place else 0.0,
        lambda: place[0].can_serve if place else True,
        HealingMetrics(registry),
        HealingSettings(**settings),
        clock=lambda: place[0].time if place else 0.0,
        now=lambda: MOMENT,
    )
    made = Situation(healer, double, lost, registry)
    place.append(made)
    return made


@VERSIONS
async def test_after_a_start_every_queue_is_told_once_what_is_missing(version: tuple[int, int, int]) -> None:
    async with situation(version) as at:
        await at.pass_time(25)
        assert at.started() == [0, 0, 0]  # all has to be well for a while first
        await at.pass_time(120)
        assert at.started() == [1, 1, 1]
        assert at.immich.queues["backgroundTask"].started == 0
        assert at.healer.status.state is HealerState.WATCHING
        assert at.healer.status.healed_at is not None
        await at.pass_time(24 * 3600, step=600)
        assert at.started() == [1, 1, 1]  # nothing was dropped since


async def test_failed_requests_are_healed_and_no_more_often_than_allowed() -> None:
    async with situation() as at:
        await at.pass_time(120)
        at.failures = 3
        await at.pass_time(300)
        assert at.started() == [1, 1, 1]  # within ten minutes of the last healing
        assert at.healer.status.state is HealerState.WAITING
        assert "3 of Immich's requests failed" in at.healer.status.reason
        assert at.registry.get_sample_value("immich_mesh_healing_due") == 1
        await at.pass_time(600)
        assert at.started() == [2, 2, 2]
        assert at.registry.get_sample_value("immich_mesh_healing_due") == 0


async def test_what_fails_for_ever_is_tried_less_and_less_often() -> None:
    async with situation() as at:
        for _ in range(24 * 60):
            at.failures += 1
            await at.pass_time(60, step=60)
        assert 4 <= at.started()[0] <= 10  # a day of ten-minute healings would be 144


async def test_nothing_is_started_while_nobody_can_serve() -> None:
    async with situation() as at:
        at.can_serve = False
        await at.pass_time(600)
        assert at.started() == [0, 0, 0]
        at.can_serve = True
        await at.pass_time(10)
        assert at.started() == [0, 0, 0]  # services that come and go are not well yet
        await at.pass_time(120)
        assert at.started() == [1, 1, 1]


async def test_what_is_waited_for_is_true_now_and_says_until_when() -> None:
    async with situation() as at:
        status = at.healer.status
        assert (status.cause, status.waits_for, status.next_at) == (Cause.STARTED, Wait.SETTLED, MOMENT + SETTLE)
        at.can_serve = False
        await at.pass_time(15)
        assert (at.healer.status.cause, at.healer.status.waits_for) == (Cause.NO_SERVICE, Wait.SERVICE)
        assert at.healer.status.reason == "for a while no service could answer; waits for a service that can answer"
        at.can_serve = True
        await at.pass_time(15)
        status = at.healer.status
        assert (status.cause, status.waits_for) == (Cause.NO_SERVICE, Wait.SETTLED)
        assert status.next_at is not None
        assert status.next_at <= MOMENT + SETTLE
        assert "waits for a service" not in status.reason
        at.immich.queues["ocr"].jobs = 2
        await at.pass_time(60)
        assert (at.healer.status.waits_for, at.healer.status.queue, at.healer.status.jobs) == (Wait.QUEUE, "ocr", 2)
        at.immich.queues["ocr"].jobs = 0
        await at.pass_time(120)
        assert (at.healer.status.cause, at.healer.status.reason, at.healer.status.next_at) == (None, "", None)


async def test_busy_queues_are_waited_for_and_paused_ones_left_alone() -> None:
    async with situation() as at:
        at.immich.queues["ocr"].jobs = 40
        at.immich.queues["smartSearch"].paused = True
        await at.pass_time(300)
        assert at.started() == [0, 0, 0]
        assert "40 jobs" in at.healer.status.reason
        at.immich.queues["ocr"].jobs = 0
        await at.pass_time(120)
        assert at.started() == [1, 0, 1]
        assert at.paused() == [False, True, False]
        labels = {"queue": "smartSearch", "outcome": "paused"}
        assert at.registry.get_sample_value("immich_mesh_healing_starts_total", labels) == 1


async def test_a_forced_run_that_was_lost_whole_comes_back_in_batches() -> None:
    async with situation(lost=LostRun(1200), requeue_batch=500) as at:
        await at.pass_time(240)
        assert at.lost.photos == 0
        assert at.started() == [3, 1, 1]
        assert at.healer.status.requeued == 1200


async def test_a_key_that_may_not_is_told_in_one_line() -> None:
    async with situation() as at:
        at.immich.keys["admin-key"] = DoubleKey(at.immich.user("someone"), frozenset({"all"}))
        await at.pass_time(120)
        assert "administrator" in at.healer.status.error
        at.immich.keys["admin-key"].user.admin = True
        await at.pass_time(120)
        assert at.healer.status.error == ""
        assert at.started() == [1, 1, 1]


async def test_an_immich_that_answers_oddly_ends_nothing() -> None:
    async with situation() as at:
        at.immich.odd["/api/queues"] = (200, b'{"a": 1}')
        await at.pass_time(120)
        assert "not what Immich answers" in at.healer.status.error
        del at.immich.odd["/api/queues"]
        await at.pass_time(120)
        assert at.started() == [1, 1, 1]


@VERSIONS
async def test_the_last_router_to_stop_pauses_and_the_next_resumes(
    version: tuple[int, int, int], tmp_path: Path
) -> None:
    async with situation(version, FileCoordination(tmp_path)) as first:
        first.immich.queues["faceDetection"].paused = True  # by an administrator
        async with situation(version, FileCoordination(tmp_path), first.immich) as second:
            await first.healer.check()
            await second.healer.check()
            await first.healer.stop()
            assert first.paused() == [False, False, True]  # the other one is still there
            await second.healer.stop()
            assert first.paused() == [True, True, True]
        async with situation(version, FileCoordination(tmp_path), first.immich) as third:
            third.can_serve = False
            await third.healer.check()
            assert first.paused() == [True, True, True]  # not before photos can be recognised
            third.can_serve = True
            await third.healer.check()
            assert first.paused() == [False, False, True]


async def test_two_stop_at_once_and_one_pauses(tmp_path: Path) -> None:
    first, second = FileCoordination(tmp_path), FileCoordination(tmp_path)
    assert await first.join()
    assert await second.join()
    assert [await first.leave(), await second.leave()] == [False, True]
    late = FileCoordination(tmp_path)
    assert not await late.join()  # not before the pausing is done, or it would resume too early
    await second.close()
    assert await late.join()


async def test_one_heals_at_a_time(tmp_path: Path) -> None:
    first, second = FileCoordination(tmp_path), FileCoordination(tmp_path)
    assert await first.lead()
    assert not await second.lead()
    await first.yield_lead()
    assert await second.lead()


async def test_what_cannot_be_noted_is_not_paused() -> None:
    async with situation() as at:
        await at.healer.check()
        await at.healer.stop()
        assert at.paused() == [False, False, False]


async def test_a_stop_does_not_wait_for_an_immich_that_is_away(tmp_path: Path) -> None:
    async with situation(coordination=FileCoordination(tmp_path)) as at:
        await at.healer.check()
        at.immich.odd["/api/queues"] = (500, b"boom")
        await at.healer.stop()
        assert at.paused() == [False, False, False]


async def test_pausing_can_be_switched_off(tmp_path: Path) -> None:
    async with situation(coordination=FileCoordination(tmp_path), pause_on_stop=False) as at:
        await at.healer.check()
        await at.healer.stop()
        assert at.paused() == [False, False, False]


def test_it_says_what_it_needs() -> None:
    photos, key = FrontDoorSettings(immich_url="http://immich:2283"), SecretStr("k")
    assert why_off(photos, HealingSettings(api_key=key)) == ""
    assert "API_KEY" in why_off(photos, HealingSettings())
    assert "IMMICH_URL" in why_off(FrontDoorSettings(), HealingSettings(api_key=key))
    assert "ENABLED" in why_off(photos, HealingSettings(api_key=key, enabled=False))
