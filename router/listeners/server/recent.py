"""The last requests that the router answered, for the admin page. Bounded, in memory, without any payload."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

KEPT = 200
"""How many are kept. Pings and the admin page's own requests are not."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One answered request. Times in milliseconds; `task` and `endpoint` hold several, separated by commas."""

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


class RecentRequests:
    """A ring of the last requests."""

    def __init__(self, kept: int = KEPT) -> None:
        self._ring: deque[AnsweredRequest] = deque(maxlen=kept)

    def add(self, request: AnsweredRequest) -> None:
        """Remembers one, forgetting the oldest."""
        self._ring.append(request)

    def newest_first(self) -> list[AnsweredRequest]:
        """All that are remembered."""
        return list(reversed(self._ring))
