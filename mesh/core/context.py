"""What travels beside a request, through tasks but not through signatures: its id and its deadline."""

import time
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The `x-request-id` of the request being served; empty outside of one."""

deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""When the caller stops waiting, in seconds of `time.monotonic()`; None for never."""

REQUEST_ID_HEADER = "x-request-id"


def remaining_seconds() -> float | None:
    """Time left until the current request's deadline, in seconds, at least 0; None without a deadline."""
    moment = deadline.get()
    return None if moment is None else max(0.0, moment - time.monotonic())
