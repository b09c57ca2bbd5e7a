"""What is shown of the healer: words for programs, and one sentence for people."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class HealerState(StrEnum):
    """What the healer does."""

    WATCHING = "watching"
    WAITING = "waiting"
    HEALING = "healing"


class Cause(StrEnum):
    """Why Immich may have dropped jobs."""

    STARTED = "started"
    FAILED = "failed"
    NO_SERVICE = "no_service"


class Wait(StrEnum):
    """What a healing that is due waits for."""

    NOTHING = ""
    SETTLED = "settled"
    """That all has been well for a while, and that the last healing is long enough ago: `next_at` says when."""
    SERVICE = "service"
    ROUTER = "router"
    QUEUE = "queue"
    """That `queue` has done its `jobs`."""


@dataclass(frozen=True)
class HealingStatus:
    """What is shown of the healer.

    Attributes:
        state: what it does.
        cause, failed: why it is due, and how many requests failed where that is why; None while it watches.
        waits_for, next_at, queue, jobs: what it waits for.
        reason: both as a sentence; empty while it watches.
        healed_at: when the last healing ended.
        requeued: photos of lost forced runs that were queued again, since the start.
        started: times each queue was started, since the start.
        error: what went wrong last; empty when the last check went well.
    """

    state: HealerState = HealerState.WATCHING
    cause: Cause | None = None
    failed: int = 0
    waits_for: Wait = Wait.NOTHING
    next_at: datetime | None = None
    queue: str = ""
    jobs: int = 0
    healed_at: datetime | None = None
    requeued: int = 0
    started: dict[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def reason(self) -> str:
        """Why it is due and what it waits for; empty while it watches."""
        return "; ".join(filter(None, (self._why(), self._what()))) if self.cause else ""

    def _why(self) -> str:
        return {
            Cause.STARTED: "this router started; jobs may have been dropped while none was there",
            Cause.FAILED: f"{self.failed} of Immich's requests failed",
            Cause.NO_SERVICE: "for a while no service could answer",
            None: "",
        }[self.cause]

    def _what(self) -> str:
        return {
            Wait.NOTHING: f"Immich queues what is missing of {self.queue}" if self.queue else "",
            Wait.SETTLED: f"begins at {self.next_at:%H:%M:%S} UTC if all stays well" if self.next_at else "",
            Wait.SERVICE: "waits for a service that can answer",
            Wait.ROUTER: "another router heals",
            Wait.QUEUE: f"{self.queue}: {self.jobs} jobs are to be done first",
        }[self.waits_for]
