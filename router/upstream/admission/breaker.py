"""Circuit breaking and the retry budget: how much may be under way in a cluster at a time, for each lane separately."""

from router.config import CircuitBreakerSettings, RetryBudgetSettings


class CircuitBreaker:
    """Counts what one lane has at the endpoints. `openings`: how often it began to refuse places."""

    def __init__(self, limits: CircuitBreakerSettings, budget: RetryBudgetSettings) -> None:
        self._limits = limits
        self._budget = budget
        self.active = 0
        self.retries = 0
        self.openings = 0
        self.is_open = False

    def admits(self, *, retry: bool, pending: int) -> bool:
        """Whether one more request, or one more retry, may go to an endpoint.

        Args:
            retry: a further try after one that reached an endpoint.
            pending: requests held at the moment; part of the traffic that the retry budget is a share of.
        """
        if self.active >= self._limits.max_requests:
            if not self.is_open:
                self.is_open = True
                self.openings += 1
            return False
        self.is_open = False
        if not retry:
            return True
        share = (self.active + pending) * self._budget.percent / 100
        return self.retries < min(max(self._budget.min_retries, share), self._limits.max_retries)

    def enter(self, *, retry: bool) -> None:
        """A request takes its place."""
        self.active += 1
        self.retries += retry

    def leave(self, *, retry: bool) -> None:
        """And gives it back."""
        self.active -= 1
        self.retries -= retry
