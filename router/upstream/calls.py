"""One call to a cluster: what is sent, until when, and how a single try of it can fail."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mesh.core.errors import MeshError
from router.domain.requests import CallStats, Content
from router.domain.tasks import Lane


class Turn(StrEnum):
    """What kind of try a call waits for; each kind has a queue of its own."""

    PROBATION = "probation"
    """A try of a payload during whose call a process died: worked on alone, so that nothing else can be the cause."""
    RETRY = "retry"
    """A further try, within the retry budget."""
    FIRST = "first"


@dataclass(slots=True)
class Call:
    """A request to a cluster over all its tries.

    Attributes:
        method: gRPC's full method name, or the path for HTTP.
        message: what the transport sends.
        read: turns the transport's reply into the result; raises BrokenReplyError for an answer that cannot be true.
        deadline: in seconds of `Timing.now()`.
        headers: metadata besides what the transport adds.
        hold: False for calls that would rather fail than wait (mirrors).
        avoid: addresses that the first try should rather not go to (hedging).
        exclusive: whether the endpoint is asked to work on nothing else meanwhile; set anew for each try.
    """

    method: str
    message: Any
    read: Callable[[Any], Any]
    content: Content
    lane: Lane
    deadline: float
    headers: Sequence[tuple[str, str]] = ()
    hold: bool = True
    avoid: frozenset[str] = frozenset()
    exclusive: bool = False
    stats: CallStats = field(default_factory=CallStats)


class FailureKind(StrEnum):
    """Why a try failed, which decides what happens next."""

    CLIENT = "client"
    """The request can never succeed: the error is final."""
    OVERLOADED = "overloaded"
    """The endpoint's queue is full: it gets nothing until it has had time, the request is held."""
    UNREACHABLE = "unreachable"
    """The endpoint never began to work on the request, which is held."""
    UNAVAILABLE = "unavailable"
    """The endpoint said that it cannot answer now: the request is held."""
    MODEL_UNAVAILABLE = "model_unavailable"
    """The endpoint said that it cannot have the model now: told at once, unless another endpoint has it."""
    REFUSED = "refused"
    """The endpoint takes another token than the router's: a fault of the set-up, and not the caller's. The request is
    held, the endpoint gets nothing until it takes the token."""
    DIED = "died"
    """The endpoint had begun to work on the request, and the connection broke."""
    HUNG = "hung"
    """The endpoint stopped answering health checks during the call."""
    BROKEN = "broken"
    """An internal error, or an answer that cannot be true."""
    TIMEOUT = "timeout"
    """The time for this try was over."""


class TryFailedError(Exception):
    """A single try failed.

    Attributes:
        kind: why.
        error: what the caller is told if no other try succeeds.
        retry_after_seconds: when the endpoint asked to be tried again; None when it did not say.
        exclusive: whether the endpoint had said that it worked on nothing else.
    """

    def __init__(
        self,
        kind: FailureKind,
        error: MeshError,
        retry_after_seconds: float | None = None,
        *,
        exclusive: bool = False,
    ) -> None:
        super().__init__(f"{kind}: {error}")
        self.kind = kind
        self.error = error
        self.retry_after_seconds = retry_after_seconds
        self.exclusive = exclusive

    def to_tell(self) -> MeshError:
        """The error to raise for the caller: a copy. Raised while this failure is handled, the error itself would point
        back at it, and the two would keep the payload in their tracebacks until the garbage collector comes by.
        """
        return copy.copy(self.error)


class BrokenReplyError(Exception):
    """An endpoint's answer has the right type but cannot be true: a wrong length, a number that is none."""


class ClusterRemovedError(Exception):
    """The cluster left the configuration while the request was held; it is routed anew."""
