"""What follows a failed try: another one, at once or after a pause, or the end."""

import random
from collections.abc import Iterable

from mesh.core.errors import DeadlineExceededError, MeshError, OverloadedError, UnavailableError
from router.config import RetrySettings
from router.upstream.calls import FailureKind, TryFailedError, Turn

# Between the death of an endpoint and the next try of what it worked on: if others die of the same cause, which then is
# not this payload, they have done so by then.
TRIAL_PAUSE_SECONDS = 0.5

# These were never worked on by an endpoint, so repeating them is no extra load and outside of the retry budget.
NEVER_STARTED = frozenset({FailureKind.OVERLOADED, FailureKind.UNREACHABLE})
# Failures that an endpoint itself is to blame for.
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
_PAUSED = frozenset({FailureKind.UNAVAILABLE, FailureKind.BROKEN, FailureKind.TIMEOUT})
_COUNTED = frozenset({FailureKind.BROKEN, FailureKind.TIMEOUT})


class RetryPlan:
    """The tries of one call.

    Attributes:
        avoid: addresses that failed it; another endpoint is preferred.
        turn: what the next try counts as.
    """

    def __init__(
        self, policy: RetrySettings, rng: random.Random, avoid: Iterable[str] = (), *, suspect: bool = False
    ) -> None:
        self.policy = policy
        self.avoid = set(avoid)
        self.turn = Turn.TRIAL if suspect else Turn.FIRST
        # Not the errors themselves: their tracebacks would keep the payload alive.
        self.last_message = ""
        self._last_kind: type[MeshError] | None = None
        self._rng = rng
        self._counted = 0
        self._pauses = 0

    def after(self, failed: TryFailedError, address: str, remaining_seconds: float) -> float:
        """Seconds to pause before the next try.

        Raises:
            MeshError: there is no next try; the error to tell the caller.
        """
        self.last_message, self._last_kind = failed.error.message, type(failed.error)
        self.avoid.add(address)
        if failed.kind is FailureKind.CLIENT:
            raise failed.to_tell()
        if remaining_seconds <= 0:
            raise self.too_late() from failed
        if failed.kind in _COUNTED:
            self._counted += 1
            if self._counted > self.policy.max_retries:
                raise failed.to_tell()
        if failed.kind is FailureKind.DIED:
            self.turn = Turn.TRIAL
            return TRIAL_PAUSE_SECONDS
        if self.turn is Turn.FIRST and failed.kind not in NEVER_STARTED:
            self.turn = Turn.RETRY
        return self._pause() if failed.kind in _PAUSED else 0.0

    def too_late(self) -> MeshError:
        """The error of a deadline that passed between tries: what stood in the way, where that is known."""
        if self._last_kind is None:
            return DeadlineExceededError("no answer before the deadline")
        if self._last_kind in (DeadlineExceededError, OverloadedError, UnavailableError):
            return self._last_kind(self.last_message)
        return DeadlineExceededError(f"no answer before the deadline; the last try failed: {self.last_message}")

    def _pause(self) -> float:
        # Full jitter: spreads those who failed together.
        longest = min(self.policy.backoff_max_ms, self.policy.backoff_base_ms * 2 ** min(self._pauses, 16))
        self._pauses += 1
        return self._rng.uniform(0, longest) / 1000
