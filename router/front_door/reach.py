"""Whether Immich can be reached, as the front door's own requests show: one line in the log for each change of it."""

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Reach:
    """Told of every request that reached Immich, and of every one that did not.

    Args:
        url: Immich's.
        clock: seconds, monotonic.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._away_since: float | None = None
        self._failed = 0

    def failed(self, reason: str) -> None:
        """A request did not reach Immich."""
        self._failed += 1
        if self._away_since is None:
            self._away_since = self._clock()
            log.warning("Immich cannot be reached", url=self._url, error=reason, next="told again once it answers")

    def answered(self) -> None:
        """A request reached Immich."""
        if self._away_since is not None:
            away = round(self._clock() - self._away_since)
            log.info("Immich answers again", url=self._url, seconds=away, requests_failed=self._failed)
            self._away_since, self._failed = None, 0
