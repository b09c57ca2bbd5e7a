"""One endpoint of a cluster: its transport, its health, and what is under way there."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from mesh.core.errors import UnavailableError
from router.upstream.calls import BrokenReplyError, Call, FailureKind, TryFailedError
from router.upstream.endpoints.outlier import OutlierDetector

FORGET_LIMIT = 1024.0
"""A limit learnt from an overload that has grown beyond this many requests is none any more."""


class HealthState(StrEnum):
    """What health checking says of an endpoint."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Probe(StrEnum):
    """The outcome of one health check."""

    SERVING = "serving"
    NOT_SERVING = "not_serving"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """It is there, and takes another token than the router's."""


class Transport(Protocol):
    """A connection to one endpoint."""

    async def send(self, call: Call, seconds: float) -> Any:
        """One try: the raw reply. Raises TryFailedError."""

    async def probe(self, seconds: float) -> Probe:
        """One health check; never raises for what the endpoint does."""

    def watch(self, lost: Callable[[], None]) -> bool:
        """Calls back once when the connection of now breaks; False where there is none that would tell."""

    async def progress(self, seconds: float) -> str:
        """What a service that is not serving yet is busy with, for a person, or empty; never raises likewise."""

    async def close(self) -> None:
        """Closes the connection at once."""


@dataclass(slots=True, eq=False)
class _Try:
    task: asyncio.Task[Any]
    aborted: bool = False


class Endpoint:
    """State around a transport.

    Attributes:
        zone: the part of the cluster that it is in; empty where that is not known.
        active: calls that hold a place here, from choice to reply.
        limit: how many may, as learnt from the endpoint's own refusals.
        on_probation: whether it works on a payload during whose call a process died.
        hung: whether it lets health checks time out.
        refuses: whether it takes another token than the router's.
        changed_at: when its health last changed, on the clock given.
    """

    def __init__(
        self,
        address: str,
        transport: Transport,
        outlier: OutlierDetector,
        clock: Callable[[], float],
        zone: str = "",
    ) -> None:
        self.address = address
        self.zone = zone
        self.transport = transport
        self.outlier = outlier
        self.health = HealthState.UNKNOWN
        self.health_detail = "not checked yet"
        self.draining = False
        self.active = 0
        self.total = 0
        self.failures = 0
        self.on_probation = False
        self.hung = False
        self.refuses = False
        self.backoff_until = 0.0
        self.limit = math.inf
        self.changed_at = clock()
        self._clock = clock
        self._tries: set[_Try] = set()

    @property
    def available(self) -> bool:
        """Whether a request may be sent here now."""
        return (
            self.health is HealthState.HEALTHY
            and not self.draining
            and not self.outlier.ejected
            and self.active < self.limit
            and self.backoff_until <= self._clock()
        )

    @property
    def state(self) -> str:
        """One word: draining, ejected, or what health checking says."""
        if self.draining:
            return "draining"
        if self.health is HealthState.HEALTHY and self.outlier.ejected:
            return "ejected"
        return self.health

    def succeeded(self) -> None:
        """A try succeeded: after an overload, room for one more with every round of successes."""
        self.outlier.succeeded()
        if self.limit < math.inf:
            self.limit += 1 / self.limit
            if self.limit > FORGET_LIMIT:
                self.limit = math.inf

    def overloaded(self, seconds: float) -> None:
        """The endpoint's queue is full: nothing for `seconds`, and fewer requests at a time afterwards.

        Additive increase, multiplicative decrease, so that those who were held do not all come back at once.
        """
        self.outlier.succeeded()
        self.backoff_until = max(self.backoff_until, self._clock() + seconds)
        self.limit = max(1.0, min(self.limit, self.active - 1) * 0.9)

    async def attempt(self, call: Call, seconds: float) -> Any:
        """One try of the call here: its checked result. Raises TryFailedError; HUNG when `abort` cut it short."""
        task = asyncio.current_task()
        assert task is not None
        this = _Try(task)
        self._tries.add(this)
        self.total += 1
        try:
            return call.read(await self.transport.send(call, seconds))
        except BrokenReplyError as error:
            problem = UnavailableError(f"endpoint {self.address} answered nonsense: {error}")
            raise TryFailedError(FailureKind.BROKEN, problem) from error
        except asyncio.CancelledError:
            if not this.aborted or task.uncancel() > 0:
                raise
            problem = UnavailableError(f"endpoint {self.address} stopped answering")
            raise TryFailedError(FailureKind.HUNG, problem) from None
        finally:
            self._tries.discard(this)
            del task, this  # an error's traceback holds this frame, and the task holds the error

    def abort(self) -> None:
        """Cuts short every try under way, so that it goes on elsewhere."""
        for this in self._tries:
            if not this.aborted:
                this.aborted = True
                this.task.cancel()
