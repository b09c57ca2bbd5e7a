"""A cluster: endpoints that answer the same calls, and everything that happens between a call and its reply.

A call is admitted (circuit breaker, balancer; else it is held), tried at an endpoint, and its failure, if it fails,
decides whether it is held, tried again or given up. Errors are the last resort: passing trouble is waited out until the
call's deadline.
"""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import structlog

from common.errors import MeshError, Overloaded, Unavailable
from common.tracing import span
from router.config import ClusterSettings, RetrySettings
from router.errors import PoisonousPayload
from router.metrics import RouterMetrics
from router.upstream.balancer import make_balancer, pick_available
from router.upstream.breaker import CircuitBreaker
from router.upstream.calls import Call, FailureKind, Lane, Retired, TryFailed, Turn
from router.upstream.endpoint import Endpoint, HealthState, Probe
from router.upstream.hold import QUEUE_ORDER, HoldQueue, Ticket
from router.upstream.membership import Membership, OpenTransport
from router.upstream.poison import PoisonMemory
from router.upstream.retry import ENDPOINTS_FAULT, RetryPlan
from router.upstream.timing import LoopTiming, Timing

log = structlog.get_logger()

DEFAULT_PUSHBACK_SECONDS = 0.5
"""How long an endpoint that said it is overloaded is left alone when it did not say for how long."""


class Cluster:
    """A named group of endpoints.

    Args:
        name: as in the configuration.
        settings: completed settings (`RouterSettings.all_clusters`).
        open_transport: makes the connection to one address; the seam to gRPC and HTTP.
        metrics: where events are counted.
        timing, rng: clock and randomness.
    """

    def __init__(
        self,
        name: str,
        settings: ClusterSettings,
        open_transport: OpenTransport,
        metrics: RouterMetrics,
        timing: Timing | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.retired = False
        self.poison = PoisonMemory(settings.poison, (timing or LoopTiming()).now)
        self._timing = timing or LoopTiming()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._metrics = metrics
        self._hold = HoldQueue(name, settings.circuit_breakers)
        self._breakers = {lane: CircuitBreaker(settings.circuit_breakers, settings.retry_budget) for lane in Lane}
        self._choice = make_balancer(settings.balancer, self._rng)
        self._members = Membership(name, settings, open_transport, self._timing, self._changed)
        self._idle = asyncio.Event()
        self._idle.set()

    # What others read.

    @property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints of now, those being drained included."""
        return self._members.endpoints

    @property
    def can_serve(self) -> bool:
        """Whether any endpoint passes its health checks."""
        return any(endpoint.health is HealthState.HEALTHY and not endpoint.draining for endpoint in self.endpoints)

    def active(self, lane: Lane) -> int:
        """Requests at the endpoints."""
        return self._breakers[lane].active

    def held(self, lane: Lane) -> int:
        """Requests that wait."""
        return self._hold.pending(lane)

    def held_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return self._hold.pending_bytes

    def endpoint_states(self) -> Iterable[str]:
        """One word for each endpoint: healthy, unhealthy, unknown, ejected or draining."""
        for endpoint in self.endpoints:
            yield endpoint.state

    # Its life.

    async def start(self) -> None:
        """Finds the endpoints and begins to check them."""
        await self._members.start()

    async def retire(self) -> None:
        """Sends those who wait to be routed anew, lets calls under way finish, then closes."""
        self.retired = True
        for ticket in self._hold.tickets():
            ticket.fail(Retired())
        await self._idle.wait()
        await self.close()

    async def close(self) -> None:
        """Closes all connections at once."""
        self.retired = True
        for ticket in self._hold.tickets():
            ticket.fail(Retired())
        await self._members.close()

    # The way of a call.

    async def call(self, call: Call, policy: RetrySettings, hold_until: float | None = None) -> Any:
        """The result of a call, over as many tries as it takes.

        Args:
            call: what to send.
            policy: the route's retry policy.
            hold_until: when a call that waits because no endpoint is healthy gives up before its deadline.

        Raises:
            MeshError: from the table in `common.errors`.
            Retired: the configuration changed meanwhile; route it anew.
        """
        self._check_poison(call)
        call.trail.cluster = self.name
        plan = RetryPlan(policy, self._rng, call.avoid, suspect=bool(self.poison.victims(call.content)))
        while True:
            endpoint = await self._admit(call, plan, hold_until)
            turn = plan.turn
            try:
                return await self._try(endpoint, call, plan)
            except TryFailed as failed:
                self._blame(endpoint, call, failed)
                pause = plan.after(failed, endpoint.address, call.deadline - self._timing.now())
                if not call.hold:
                    raise failed.error from failed
                self._metrics.retries.labels(self.name, failed.kind).inc()
            finally:
                self._leave(endpoint, call.lane, turn)
            if pause:
                with self._hold.account(call):
                    await self._timing.sleep(pause)
            await self._judge_payload(call)

    def _check_poison(self, call: Call) -> None:
        try:
            self.poison.check(call.content)
        except PoisonousPayload:
            self._metrics.poisoned.labels(self.name).inc()
            raise

    async def _try(self, endpoint: Endpoint, call: Call, plan: RetryPlan) -> Any:
        started = self._timing.now()
        remaining = call.deadline - started
        if remaining <= 0:
            raise plan.too_late()
        limit = plan.policy.per_try_timeout_seconds
        call.trail.endpoint = endpoint.address
        call.trail.tries += 1
        outcome = "cancelled"
        try:
            with span("try", cluster=self.name, endpoint=endpoint.address, number=call.trail.tries):
                result = await endpoint.attempt(call, min(remaining, limit) if limit else remaining)
            outcome = "ok"
        except TryFailed as failed:
            outcome = failed.kind
            raise
        finally:
            took = self._timing.now() - started
            call.trail.upstream_seconds += took
            self._metrics.try_done(self.name, outcome, took)
        endpoint.succeeded()
        self.poison.absolve(call.content)
        return result

    def _blame(self, endpoint: Endpoint, call: Call, failed: TryFailed) -> None:
        """What a failed try says about the endpoint and the payload."""
        if failed.kind is FailureKind.CLIENT:
            endpoint.outlier.succeeded()
            self.poison.absolve(call.content)
        elif failed.kind is FailureKind.OVERLOADED:
            self._back_off(endpoint, failed)
        elif failed.kind in ENDPOINTS_FAULT:
            endpoint.failures += 1
            self._judge(endpoint)
        if failed.kind in (FailureKind.UNREACHABLE, FailureKind.DIED):
            self._members.suspect(endpoint, str(failed.error))
        if failed.kind is FailureKind.DIED:
            self.poison.accuse(call.content, endpoint.address)

    async def _judge_payload(self, call: Call) -> None:
        """Raises PoisonousPayload for a payload during whose calls too many endpoints died while others live on."""
        victims = self.poison.victims(call.content)
        if len(victims) < self.settings.poison.deaths:
            return
        seconds = self.settings.health_check.timeout_seconds
        others = [endpoint for endpoint in self.endpoints if endpoint.address not in victims]
        probes = await asyncio.gather(*(endpoint.transport.probe(seconds) for endpoint in others))
        if others and Probe.SERVING not in probes:
            log.warning("every endpoint is down, so no payload is to blame", cluster=self.name)
            self.poison.forgive(call.content)
            return
        self._metrics.poisoned.labels(self.name).inc()
        log.error("payload is poisonous", cluster=self.name, sha256=call.content.digest.hex(), died=victims)
        raise self.poison.convict(call.content)

    def _judge(self, endpoint: Endpoint) -> None:
        """Ejects an endpoint that has failed too often, unless it is the last one."""
        if not endpoint.outlier.failed():
            return
        others = [other for other in self.endpoints if other is not endpoint and other.state == "healthy"]
        if not others:
            return
        seconds = endpoint.outlier.eject()
        self._metrics.ejections.labels(self.name).inc()
        log.warning("endpoint ejected", cluster=self.name, endpoint=endpoint.address, seconds=seconds)
        self._timing.call_later(seconds, self._dispatch)

    def _back_off(self, endpoint: Endpoint, failed: TryFailed) -> None:
        seconds = DEFAULT_PUSHBACK_SECONDS if failed.retry_after_seconds is None else failed.retry_after_seconds
        endpoint.overloaded(seconds)
        self._timing.call_later(seconds, self._dispatch)

    # Admission.

    async def _admit(self, call: Call, plan: RetryPlan, hold_until: float | None) -> Endpoint:
        """An endpoint with a place for the call taken; waits for one."""
        if self.retired:
            raise Retired
        lane, turn = call.lane, plan.turn
        if not self._hold.waiting(lane, turn):
            endpoint = self._place(lane, turn, plan.avoid)
            if endpoint is not None:
                return endpoint
        if not call.hold:
            raise Unavailable(self._why_nobody())
        return await self._wait(call, plan, hold_until)

    async def _wait(self, call: Call, plan: RetryPlan, hold_until: float | None) -> Endpoint:
        lane, since = call.lane, self._timing.now()
        ticket = Ticket(call, plan.turn, plan.avoid, asyncio.get_running_loop().create_future())
        timers = [self._timing.call_later(call.deadline - since, lambda: ticket.fail(self._gave_up(plan)))]
        if hold_until is not None and hold_until < call.deadline:
            timers.append(self._timing.call_later(hold_until - since, lambda: self._stays_down(ticket, plan)))
        try:
            with self._hold.account(call), span("queue", cluster=self.name, lane=lane):
                self._hold.put(ticket)
                endpoint = await ticket.future
        except Overloaded:
            self._metrics.rejected.labels(self.name, lane).inc()
            raise
        except asyncio.CancelledError:
            # The caller left in the moment a place was found: it goes to the next one.
            if ticket.future.done() and not ticket.future.cancelled() and ticket.future.exception() is None:
                self._leave(ticket.future.result(), lane, ticket.turn)
            raise
        finally:
            self._hold.remove(ticket)
            for timer in timers:
                timer.cancel()
            held = self._timing.now() - since
            call.trail.held_seconds += held
            self._metrics.held_seconds.labels(self.name, lane).observe(held)
        return endpoint

    def _place(self, lane: Lane, turn: Turn, avoid: set[str]) -> Endpoint | None:
        """Takes a place at an endpoint when breaker and endpoints allow."""
        breaker, retry = self._breakers[lane], turn is not Turn.FIRST
        openings = breaker.openings
        if not breaker.admits(retry=retry, pending=self._hold.pending(lane)):
            if breaker.openings > openings:
                self._metrics.breaker_openings.labels(self.name, lane).inc()
            return None
        trial = turn is Turn.TRIAL
        candidates = [endpoint for endpoint in self.endpoints if not endpoint.on_trial] if trial else self.endpoints
        endpoint = pick_available(self._choice, candidates, avoid)
        if endpoint is None:
            return None
        endpoint.on_trial = endpoint.on_trial or trial
        endpoint.active += 1
        breaker.enter(retry=retry)
        self._idle.clear()
        return endpoint

    def _leave(self, endpoint: Endpoint, lane: Lane, turn: Turn) -> None:
        endpoint.active -= 1
        if turn is Turn.TRIAL:
            endpoint.on_trial = False
        self._breakers[lane].leave(retry=turn is not Turn.FIRST)
        if not any(breaker.active for breaker in self._breakers.values()):
            self._idle.set()
        self._members.settled(endpoint)
        self._dispatch()

    def _dispatch(self) -> None:
        """Gives places to those who wait, in their order."""
        for lane, turn in QUEUE_ORDER:
            while (ticket := self._hold.first(lane, turn)) is not None:
                if ticket.future.done():
                    self._hold.remove(ticket)
                    continue
                endpoint = self._place(lane, turn, ticket.avoid)
                if endpoint is None:
                    break
                self._hold.remove(ticket)
                ticket.future.set_result(endpoint)

    def _changed(self) -> None:
        """An endpoint came, went, or changed its health."""
        healthy = [endpoint for endpoint in self.endpoints if endpoint.available]
        for endpoint in self.endpoints:
            # Tries at an endpoint that hangs go on elsewhere, if there is an elsewhere.
            if endpoint.hung and healthy:
                endpoint.abort()
        self._dispatch()

    def _stays_down(self, ticket: Ticket, plan: RetryPlan) -> None:
        if not self.can_serve:
            ticket.fail(self._gave_up(plan))

    def _gave_up(self, plan: RetryPlan) -> MeshError:
        last = f"; the last try failed: {plan.last_message}" if plan.last_message else ""
        text = f"{self._why_nobody()}{last}"
        return Overloaded(text) if self.can_serve else Unavailable(text)

    def _why_nobody(self) -> str:
        if self.can_serve:
            return f"every endpoint of cluster {self.name} is busy"
        states = ", ".join(f"{endpoint.address} {endpoint.health_detail}" for endpoint in self.endpoints)
        return f"no endpoint of cluster {self.name} can answer ({states or 'none is known'})"
