"""Refreshes that failed after their call was answered: counted and kept for the door's status, since nobody waits."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog

log = structlog.get_logger()

KEPT = 20


@dataclass(frozen=True)
class LateFailure:
    """One photo that was promised and not refreshed."""

    at: datetime
    asset_id: UUID
    reason: str


class BackgroundFailures:
    """What became of work behind a 204; `latest` holds the last few, the newest first."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.count = 0
        self.latest: deque[LateFailure] = deque(maxlen=KEPT)
        self._now = now

    def add(self, asset_id: UUID, reason: str) -> None:
        """Notes one photo."""
        self.count += 1
        self.latest.appendleft(LateFailure(self._now(), asset_id, reason))
        remedy = "refresh it again, or run `immich-mesh reprocess --missing`"
        log.error("refresh failed after its answer", asset_id=str(asset_id), reason=reason, remedy=remedy)

    def cut_off(self) -> None:
        """Notes that a stop ended work; its photos are as they were."""
        log.warning("refresh cut off by the stop", remedy="start the refresh again")
