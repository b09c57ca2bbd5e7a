"""The marks that tell a service's own status from one that a broken connection, gRPC or a proxy has made up.

Before the work on a call begins, a service sends `STARTED` as initial metadata; every status of its own carries
`STATUS` as a trailer. So the router reads three facts, and no text: nothing came (the call never started), `STARTED`
alone (it started, then the connection or the process died), `STATUS` (the service answered). Metadata passes through
proxies.
"""

from collections.abc import Iterable

from mesh.core.errors import MeshError, ModelUnavailableError, OverloadedError

STARTED = "x-immich-mesh-started"
"""Initial metadata: `shared`, or `exclusive` when no other call is worked on meanwhile."""
STATUS = "x-immich-mesh-status"
"""Trailer: the error's word, e.g. `model_unavailable`."""
RETRY_PUSHBACK = "grpc-retry-pushback-ms"
"""Trailer, gRPC's own name: how long to leave the service alone."""
EXCLUSIVE = "x-immich-mesh-exclusive"
"""Metadata of a call, `1`: to be worked on alone, because a process died during it before."""
EXCLUSIVE_SECONDS = 30.0
"""For so long at most; then others are let in: a search must not wait for a photo that takes for ever."""

Metadata = Iterable[tuple[str, str | bytes]]


def started_mark(*, exclusive: bool) -> tuple[tuple[str, str], ...]:
    """The initial metadata of a call whose work begins now."""
    return ((STARTED, "exclusive" if exclusive else "shared"),)


def status_marks(error: MeshError | None) -> tuple[tuple[str, str], ...]:
    """The trailers of a service's own status; None for an error outside of the table."""
    marks = ((STATUS, error.word if error else MeshError.word),)
    if not isinstance(error, OverloadedError | ModelUnavailableError):
        return marks
    return (*marks, (RETRY_PUSHBACK, str(round(error.retry_after_seconds * 1000))))


def find(metadata: Metadata | None, key: str) -> str:
    """The value of a key, empty when it is not there."""
    value = next((value for name, value in metadata or () if name == key), "")
    return value if isinstance(value, str) else value.decode("ascii", "replace")


def pushback_seconds(trailers: Metadata | None) -> float | None:
    """How long the sender asked to be left alone; None when it did not say, or nonsense."""
    value = find(trailers, RETRY_PUSHBACK)
    return int(value) / 1000 if value.isdecimal() else None
