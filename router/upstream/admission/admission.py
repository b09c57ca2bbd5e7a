"""Admission: how a call gets a place at an endpoint, or waits for one.

The circuit breaker says whether one more may go, the balancer where; else the call is held, and whoever leaves lets the
next one in.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from mesh.core.errors import MeshError, OverloadedError, UnavailableError
from mesh.core.tracing import span
from router.config import ClusterSettings
from router.domain.tasks import Lane
from router.metrics import RouterMetrics
from router.upstream.admission.breaker import CircuitBreaker
from router.upstream.admission.pending import QUEUE_ORDER, PendingQueue, QueueFullError, Waiter
from router.upstream.admission.retry import RetryPlan
from router.upstream.calls import Call, ClusterRemovedError, Turn
from router.upstream.endpoints.balancer import make_balancer, pick_available
from router.upstream.endpoints.endpoint import Endpoint, HealthState
from router.upstream.timing import Timing


class Admission:
    """The places at a cluster's endpoints.

    Args:
        cluster: its name.
        endpoints: gives the endpoints of now.
        left: called when a place was given back.

    Attributes:
        closed: whether nobody is admitted any more.
        idle: set while nobody has a place.
    """

    def __init__(
        self,
        cluster: str,
        settings: ClusterSettings,
        endpoints: Callable[[], Sequence[Endpoint]],
        left: Callable[[Endpoint], None],
        metrics: RouterMetrics,
        timing: Timing,
        rng: random.Random,
    ) -> None:
        self.closed = False
        self.idle = asyncio.Event()
        self.idle.set()
        self._cluster = cluster
        self._endpoints = endpoints
        self._left = left
        self._metrics = metrics
        self._timing = timing
        self._pending = PendingQueue(cluster, settings.circuit_breakers, timing.now)
        self._breakers = {lane: CircuitBreaker(settings.circuit_breakers, settings.retry_budget) for lane in Lane}
        self._choice = make_balancer(settings.balancer, rng)
        self._zone = settings.zone

    @property
    def can_serve(self) -> bool:
        """Whether any endpoint passes its health checks."""
        return any(endpoint.health is HealthState.HEALTHY and not endpoint.draining for endpoint in self._endpoints())

    @property
    def held_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return self._pending.pending_bytes

    @property
    def longest_wait_seconds(self) -> float:
        """How long the request that has waited longest has done so; 0 while none waits."""
        return self._pending.longest_wait_seconds

    def active(self, lane: Lane) -> int:
        """Requests at the endpoints."""
        return self._breakers[lane].active

    def held(self, lane: Lane) -> int:
        """Requests that wait."""
        return self._pending.pending(lane)

    def holding(self, call: Call) -> AbstractContextManager[None]:
        """Counts a call as waiting while it pauses between tries. Raises OverloadedError when there is no room."""
        return self._pending.account(call)

    def close(self) -> None:
        """Sends those who wait, and those who come, to be routed anew."""
        self.closed = True
        for waiter in self._pending.waiters():
            waiter.fail(ClusterRemovedError())

    async def enter(self, call: Call, plan: RetryPlan, hold_until: float | None) -> Endpoint:
        """An endpoint with a place for the call taken; waits for one."""
        if self.closed:
            raise ClusterRemovedError
        lane, turn = call.lane, plan.turn
        if not self._pending.waiting(lane, turn):
            endpoint = self._place(lane, turn, plan.avoid)
            if endpoint is not None:
                return endpoint
        if not call.hold:
            raise UnavailableError(self._why_nobody())
        return await self._wait(call, plan, hold_until)

    async def _wait(self, call: Call, plan: RetryPlan, hold_until: float | None) -> Endpoint:
        lane, since = call.lane, self._timing.now()
        waiter = Waiter(call, plan.turn, plan.avoid, asyncio.get_running_loop().create_future())
        timers = [self._timing.call_later(call.deadline - since, lambda: waiter.fail(self._gave_up(plan)))]
        if hold_until is not None and hold_until < call.deadline:
            timers.append(self._timing.call_later(max(0.0, hold_until - since), lambda: self._stays_down(waiter, plan)))
        try:
            with self._pending.account(call), span("queue", cluster=self._cluster, lane=lane):
                self._pending.put(waiter)
                endpoint = await waiter.future
        except QueueFullError:
            self._metrics.rejected.labels(self._cluster, lane).inc()
            raise
        except asyncio.CancelledError:
            # The caller left in the moment a place was found: it goes to the next one.
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self.leave(waiter.future.result(), lane, waiter.turn)
            raise
        finally:
            self._pending.remove(waiter)
            for timer in timers:
                timer.cancel()
            held = self._timing.now() - since
            call.stats.held_seconds += held
            self._metrics.held_seconds.labels(self._cluster, lane).observe(held)
        return endpoint

    def _place(self, lane: Lane, turn: Turn, avoid: set[str]) -> Endpoint | None:
        """Takes a place at an endpoint when breaker and endpoints allow."""
        breaker, retry = self._breakers[lane], turn is not Turn.FIRST
        openings = breaker.openings
        if not breaker.admits(retry=retry, pending=self._pending.pending(lane)):
            if breaker.openings > openings:
                self._metrics.breaker_openings.labels(self._cluster, lane).inc()
            return None
        probation, candidates = turn is Turn.PROBATION, self._endpoints()
        if probation:
            candidates = [endpoint for endpoint in candidates if not endpoint.on_probation]
        endpoint = pick_available(self._choice, candidates, avoid, self._zone)
        if endpoint is None:
            return None
        endpoint.on_probation = endpoint.on_probation or probation
        endpoint.active += 1
        breaker.enter(retry=retry)
        self.idle.clear()
        return endpoint

    def leave(self, endpoint: Endpoint, lane: Lane, turn: Turn) -> None:
        """Gives a place back."""
        endpoint.active -= 1
        if turn is Turn.PROBATION:
            endpoint.on_probation = False
        self._breakers[lane].leave(retry=turn is not Turn.FIRST)
        if not any(breaker.active for breaker in self._breakers.values()):
            self.idle.set()
        self._left(endpoint)
        self.dispatch()

    def dispatch(self) -> None:
        """Gives places to those who wait, in their order."""
        for lane, turn in QUEUE_ORDER:
            while (waiter := self._pending.first(lane, turn)) is not None:
                if waiter.future.done():
                    self._pending.remove(waiter)
                    continue
                endpoint = self._place(lane, turn, waiter.avoid)
                if endpoint is None:
                    break
                self._pending.remove(waiter)
                waiter.future.set_result(endpoint)

    def _stays_down(self, waiter: Waiter, plan: RetryPlan) -> None:
        if not self.can_serve:
            waiter.fail(self._gave_up(plan))

    def _gave_up(self, plan: RetryPlan) -> MeshError:
        last = f"; the last try failed: {plan.last_message}" if plan.last_message else ""
        text = f"{self._why_nobody()}{last}"
        return OverloadedError(text) if self.can_serve else UnavailableError(text)

    def _why_nobody(self) -> str:
        if self.can_serve:
            return f"every endpoint of cluster {self._cluster} is busy"
        states = ", ".join(f"{endpoint.address} {endpoint.health_detail}" for endpoint in self._endpoints())
        return f"no endpoint of cluster {self._cluster} can answer ({states or 'none is known'})"
