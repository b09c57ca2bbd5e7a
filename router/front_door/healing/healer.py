"""The healer: notices when Immich may have dropped jobs, waits until all is well, and has them queued again.

Gently: one queue at a time, only when it is idle, by Immich's own "missing" jobs at Immich's own concurrency. A queue
that an administrator paused stays paused.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog

from mesh.core.errors import MeshError
from router.config.healing import HealingSettings
from router.front_door.healing.coordination import Coordination
from router.front_door.healing.metrics import HealingMetrics
from router.front_door.healing.queues import ImmichQueues, Queue
from router.front_door.healing.status import Cause, HealerState, HealingStatus, Wait
from router.front_door.immich.rights import RefusedByImmichError

log = structlog.get_logger()

MAX_INTERVAL_SECONDS = 6 * 3600.0
STOP_SECONDS = 5.0
"""How long pausing may hold up a stop."""


class LostText(Protocol):
    """Photos of a forced OCR run that was lost whole, which Immich takes for done."""

    async def requeue_lost_text(self, limit: int) -> int:
        """Marks up to `limit` of them as not done; how many."""


class Healer:
    """Heals one Immich.

    Args:
        queues: Immich's.
        coordination: with the other routers.
        lost_text: the database; None without one, when forced OCR runs that were lost whole stay lost.
        failures: photos of Immich's that were answered an error so far, ever growing.
        can_serve: whether photos can be recognised now.
        metrics, settings: its own.
        clock, sleep, now: time.
    """

    def __init__(
        self,
        queues: ImmichQueues,
        coordination: Coordination,
        lost_text: LostText | None,
        failures: Callable[[], float],
        can_serve: Callable[[], bool],
        metrics: HealingMetrics,
        settings: HealingSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queues = queues
        self._coordination = coordination
        self._lost_text = lost_text
        self._failures = failures
        self._can_serve = can_serve
        self._metrics = metrics
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self.status = HealingStatus()
        self._resumed = False
        self._seen = failures()
        self._pending: list[Queue] = []
        self._begun = False
        self._again: tuple[Cause, int] | None = None
        self._not_before = self._due_since = clock()
        self._interval = settings.min_interval_seconds
        self._healed = float("-inf")
        self._trigger(Cause.STARTED)

    async def run(self) -> None:
        """Checks for ever. Cancel it to end."""
        while True:
            await self.check()
            await self._sleep(self._settings.check_seconds)

    async def check(self) -> None:
        """One look, and at most one queue started."""
        try:
            if await self._coordination.join():
                await self._resume()
            self._notice()
            if self._pending:
                await self._heal()
        except RefusedByImmichError as refusal:
            self._failed(f"Immich refuses the API key ({refusal}): it must be an administrator's, with job.read, "
                         "job.create, and for Immich 3 queue.read and queue.update")  # fmt: skip
        except MeshError as error:
            self._failed(error.message)
        else:
            self.status = replace(self.status, error="")

    async def stop(self) -> None:
        """A planned stop: where this is the last router, jobs wait in Immich's queues until one is back."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                if self._settings.pause_on_stop and await self._coordination.leave():
                    await self._pause()
        except (MeshError, RefusedByImmichError, TimeoutError) as error:
            message = error.message if isinstance(error, MeshError) else str(error) or "Immich did not answer in time"
            log.warning("Immich's queues not paused", reason=message, consequence="jobs fail until a router is back")
        finally:
            await self._coordination.close()

    async def _pause(self) -> None:
        states = await self._queues.states()
        running = [queue for queue, state in states.items() if not state.paused]
        # Noted first: a queue that is noted and not paused is resumed for nothing; the other way round it stays paused.
        await self._coordination.note(running)
        for queue in running:
            await self._queues.pause(queue)
        log.info("Immich's queues paused", queues=list(map(str, running)), until="a router is back")

    async def _resume(self) -> None:
        """Resumes what a stop paused, once, as soon as photos can be recognised again."""
        if self._resumed or not self._can_serve():
            return
        noted = await self._coordination.noted()
        for queue in sorted(noted):
            await self._queues.resume(queue)
        if noted:
            await self._coordination.forget(noted)
            log.info("Immich's queues resumed", queues=sorted(map(str, noted)))
        self._resumed = True

    def _notice(self) -> None:
        failures = self._failures()
        if failures > self._seen:
            count = int(failures - self._seen)
            self._seen = failures
            # While some go on failing, healing waits for a while and not for ever.
            self._trigger(Cause.FAILED, count, patience=10 * self._settings.settle_seconds)
        elif not self._can_serve():
            self._trigger(Cause.NO_SERVICE)

    def _trigger(self, cause: Cause, failed: int = 0, patience: float = math.inf) -> None:
        if self._begun:
            self._again = cause, failed  # what was started already is started once more afterwards
            return
        again = bool(self._pending)
        if not again:
            self._due_since = self._clock()
        self._pending = list(Queue)
        self._metrics.due.set(1)
        settled = min(self._clock() + self._settings.settle_seconds, self._due_since + patience)
        self._not_before = max(self._not_before, settled)
        self.status = replace(self.status, cause=cause, failed=failed, queue="", jobs=0)
        self._wait(Wait.SETTLED if self._can_serve() else Wait.SERVICE)
        if not again:
            log.info("healing due", reason=self.status.reason)

    def _wait(self, wait: Wait, state: HealerState = HealerState.WAITING, queue: str = "", jobs: int = 0) -> None:
        left = timedelta(seconds=max(0.0, self._not_before - self._clock()))
        next_at = self._now() + left if wait is Wait.SETTLED else None
        self.status = replace(self.status, state=state, waits_for=wait, next_at=next_at, queue=queue, jobs=jobs)

    async def _heal(self) -> None:
        if not self._can_serve():
            self._wait(Wait.SERVICE)
            return
        if self._clock() < self._not_before:
            self._wait(Wait.SETTLED)
            return
        if not await self._coordination.lead():
            self._wait(Wait.ROUTER)
            return
        states = await self._queues.states()
        self._pending = [queue for queue in self._pending if queue in states]
        if self._pending:
            await self._heal_queue(self._pending[0], states[self._pending[0]].paused, states[self._pending[0]].jobs)
        if not self._pending:
            await self._done()

    async def _heal_queue(self, queue: Queue, paused: bool, jobs: int) -> None:
        if paused:
            self._metrics.starts.labels(queue, "paused").inc()
            log.info("queue left out of healing", queue=str(queue), reason="an administrator paused it")
            self._pending.remove(queue)
            return
        if jobs:
            self._wait(Wait.QUEUE, HealerState.HEALING, queue, jobs)
            return
        requeued = 0
        if queue is Queue.OCR and self._lost_text is not None:
            requeued = await self._lost_text.requeue_lost_text(self._settings.requeue_batch)
        if not await self._queues.start_missing(queue):
            return
        self._begun = True
        self._metrics.starts.labels(queue, "started").inc()
        self._metrics.requeued.inc(requeued)
        started = {**self.status.started, str(queue): self.status.started.get(str(queue), 0) + 1}
        self.status = replace(self.status, requeued=self.status.requeued + requeued, started=started)
        self._wait(Wait.NOTHING, HealerState.HEALING, queue)
        log.info("healing started", queue=str(queue), lost_forced_run=requeued)
        if requeued < self._settings.requeue_batch:
            self._pending.remove(queue)

    async def _done(self) -> None:
        await self._coordination.yield_lead()
        self._metrics.due.set(0)
        self.status = replace(self.status, cause=None, failed=0, healed_at=self._now())
        self._wait(Wait.NOTHING, HealerState.WATCHING)
        # What fails again and again is not to be queued again and again at the same pace.
        soon = self._clock() - self._healed < 3 * self._interval
        self._interval = min(self._interval * 2, MAX_INTERVAL_SECONDS) if soon else self._settings.min_interval_seconds
        self._healed = self._clock()
        self._not_before = self._healed + self._interval
        log.info("healed")
        again, self._again, self._begun = self._again, None, False
        if again:
            self._trigger(*again)

    def _failed(self, reason: str) -> None:
        if reason != self.status.error:
            log.warning("healing failed", reason=reason, next_check_seconds=self._settings.check_seconds)
        self.status = replace(self.status, error=reason)
