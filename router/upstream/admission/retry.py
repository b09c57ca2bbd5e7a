"""What follows a failed try: another one after a pause, or the end. One budget for all tries of a call.

Every pause comes from one series, whatever failed: full jitter under a limit that doubles from try to try up to
`backoff_max_ms`. So the tries of a call are bounded by its deadline, even where each of them fails at once.
"""

import random
from collections.abc import Iterable

from mesh.core.errors import DeadlineExceededError, MeshError, OverloadedError, UnavailableError
from router.config import RetrySettings
from router.upstream.calls import FailureKind, TryFailedError, Turn

# The first probation follows soon, since most suspects crash nothing; the next ones are rare: each may cost a process.
PROBATION_SECONDS = (0.5, 2.0, 5.0, 10.0, 20.0, 40.0)

# These were never worked on by an endpoint, so repeating them is no extra load and outside of the retry budget.
NEVER_STARTED = frozenset({FailureKind.OVERLOADED, FailureKind.UNREACHABLE, FailureKind.REFUSED})
# Failures whose cause is the endpoint.
ENDPOINTS_FAULT = frozenset(
    {
        FailureKind.UNREACHABLE,
        FailureKind.UNAVAILABLE,
        FailureKind.DIED,
        FailureKind.HUNG,
        FailureKind.BROKEN,
        FailureKind.TIMEOUT,
    }
)
_COUNTED = frozenset({FailureKind.BROKEN, FailureKind.TIMEOUT})


class RetryPlan:
    """The tries of one call.

    Attributes:
        avoid: addresses that failed it; another endpoint is preferred.
        turn: what the next try counts as.
        probations: tries on probation that ended in another death.
    """

    def __init__(
        self, policy: RetrySettings, rng: random.Random, avoid: Iterable[str] = (), *, suspect: bool = False
    ) -> None:
        self.policy = policy
        self.avoid = set(avoid)
        self.turn = Turn.PROBATION if suspect else Turn.FIRST
        self.probations = 0
        # Not the errors themselves: their tracebacks would keep the payload alive.
        self.last_message = ""
        self._last_kind: type[MeshError] | None = None
        self._rng = rng
        self._counted = 0
        self._pauses = 0

    def after(
        self, failed: TryFailedError, address: str, remaining_seconds: float, addresses: Iterable[str] = ()
    ) -> float:
        """Seconds to pause before the next try, at most those that remain.

        Args:
            addresses: the endpoints that could be asked; a model that cannot be had is looked for at each of them once.

        Raises:
            MeshError: there is no next try; the error to tell the caller.
        """
        self.last_message, self._last_kind = failed.error.message, type(failed.error)
        self.avoid.add(address)
        if failed.kind is FailureKind.CLIENT:
            raise failed.to_tell()
        if failed.kind is FailureKind.MODEL_UNAVAILABLE and self.avoid.issuperset(addresses):
            raise failed.to_tell()
        if remaining_seconds <= 0:
            raise self.too_late() from failed
        if failed.kind in _COUNTED:
            self._counted += 1
            if self._counted > self.policy.max_retries:
                raise failed.to_tell()
        return min(remaining_seconds, self._pause_after(failed.kind))

    def too_late(self) -> MeshError:
        """The error of a deadline that passed between tries: what stood in the way, where that is known."""
        if self._last_kind is None:
            return DeadlineExceededError("no answer before the deadline")
        for kind in (DeadlineExceededError, OverloadedError, UnavailableError):
            if issubclass(self._last_kind, kind):
                return kind(self.last_message)
        return DeadlineExceededError(f"no answer before the deadline; the last try failed: {self.last_message}")

    def _pause_after(self, kind: FailureKind) -> float:
        if kind is FailureKind.DIED:
            if self.turn is Turn.PROBATION:
                self.probations += 1
            self.turn = Turn.PROBATION
            longest = PROBATION_SECONDS[min(self.probations, len(PROBATION_SECONDS) - 1)]
            return longest * self._rng.uniform(0.5, 1)
        if kind is FailureKind.OVERLOADED:
            return 0.0  # the endpoint itself says how long it is to be left alone, and the call is held for so long
        if self.turn is Turn.FIRST and kind not in NEVER_STARTED:
            self.turn = Turn.RETRY
        longest = min(self.policy.backoff_max_ms, self.policy.backoff_base_ms * 2 ** min(self._pauses, 16))
        self._pauses += 1
        # Full jitter: spreads those who failed together.
        return self._rng.uniform(0, longest) / 1000
