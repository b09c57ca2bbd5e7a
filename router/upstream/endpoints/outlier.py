"""Outlier detection: an endpoint that passes health checks but fails requests is left alone for a while.

Envoy's rules: consecutive failures eject; the n-th ejection lasts n times the base; every interval without ejection
takes one step back. Overload and client errors are answers, not failures. The cluster never ejects its last endpoint.
"""

from collections.abc import Callable

from router.config import OutlierSettings


class OutlierDetector:
    """The failures of one endpoint."""

    def __init__(self, settings: OutlierSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self.consecutive_failures = 0
        self.ejections = 0
        self._multiplier = 0
        self._ejected_until = 0.0

    @property
    def ejected(self) -> bool:
        """Whether the endpoint is ejected now."""
        return self._clock() < self._ejected_until

    @property
    def ejected_until(self) -> float:
        """When the current or last ejection ends, on the clock given."""
        return self._ejected_until

    def succeeded(self) -> None:
        """The endpoint answered, be it with an error that is the client's own."""
        self.consecutive_failures = 0

    def failed(self) -> bool:
        """The endpoint failed a request; says whether it has earned an ejection."""
        self.consecutive_failures += 1
        return self.consecutive_failures >= self._settings.consecutive_failures and not self.ejected

    def eject(self) -> float:
        """Ejects; returns for how many seconds."""
        now = self._clock()
        quiet = max(0.0, now - self._ejected_until) if self.ejections else 0.0
        steps_back = int(quiet / self._settings.interval_seconds)
        self._multiplier = max(0, self._multiplier - steps_back) + 1
        seconds = min(self._settings.base_ejection_seconds * self._multiplier, self._settings.max_ejection_seconds)
        self._ejected_until = now + seconds
        self.ejections += 1
        self.consecutive_failures = 0
        return seconds

    def restart(self) -> None:
        """Forgets everything: another process answers at this address now."""
        self.consecutive_failures = 0
        self._multiplier = 0
        self._ejected_until = 0.0
