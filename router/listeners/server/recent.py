"""The last requests that the router answered, for the admin page. Bounded, in memory, without any payload."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

KEPT = 200
"""How many are kept. Pings and the admin page's own requests are not."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One answered request. Times in milliseconds; `task`, models and `endpoint` hold several, separated by commas.

    `model` is what was asked for, `answered_by` what the service says it used, `reason` what the caller was told of a
    failure.
    """

    at: datetime
    request_id: str
    listener: str
    method: str
    path: str
    task: str
    model: str
    endpoint: str
    code: int
    tries: int
    ms: float
    held_ms: float
    service_ms: float
    bytes: int
    shared: bool = False
    answered_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LastCall:
    """Immich's last call that a listener answered: when, from which address, and whether it was a ping or work."""

    at: datetime
    peer: str
    task: str


class RecentRequests:
    """A ring of the last requests, and for each listener Immich's last call of any kind.

    Attributes:
        last_calls: by listener.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[AnsweredRequest] = deque(maxlen=kept)
        self.last_calls: dict[str, LastCall] = {}

    def called(self, listener: str, peer: str | None, task: str) -> None:
        """Notes a call that was answered as it should be."""
        self.last_calls[listener] = LastCall(datetime.now(UTC), peer or "", task)

    def add(self, request: AnsweredRequest) -> None:
        """Remembers one, forgetting the oldest."""
        self._ring.append(request)

    def newest_first(self) -> list[AnsweredRequest]:
        """All that are remembered."""
        return list(reversed(self._ring))
