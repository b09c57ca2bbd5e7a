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

from mesh.core.tracing import span
from router.config import ClusterSettings, RetrySettings
from router.domain.tasks import Lane
from router.errors import QuarantinedPayloadError
from router.metrics import RouterMetrics
from router.upstream.admission.admission import Admission
from router.upstream.admission.poison import PoisonMemory
from router.upstream.admission.retry import ENDPOINTS_FAULT, RetryPlan
from router.upstream.calls import Call, FailureKind, TryFailedError
from router.upstream.endpoints.endpoint import Endpoint, Probe
from router.upstream.endpoints.membership import Membership, OpenTransport
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
        self.poison = PoisonMemory(settings.poison, (timing or LoopTiming()).now)
        self._timing = timing or LoopTiming()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._metrics = metrics
        self._members = Membership(name, settings, open_transport, self._timing, self._changed)
        self._admission = Admission(
            name, settings, lambda: self.endpoints, self._members.settled, metrics, self._timing, self._rng
        )

    # What others read.

    @property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints of now, those being drained included."""
        return self._members.endpoints

    @property
    def can_serve(self) -> bool:
        """Whether any endpoint passes its health checks."""
        return self._admission.can_serve

    def active(self, lane: Lane) -> int:
        """Requests at the endpoints."""
        return self._admission.active(lane)

    def held(self, lane: Lane) -> int:
        """Requests that wait."""
        return self._admission.held(lane)

    def held_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return self._admission.held_bytes

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
        self._admission.close()
        await self._admission.idle.wait()
        await self.close()

    async def close(self) -> None:
        """Closes all connections at once."""
        self._admission.close()
        await self._members.close()

    # The way of a call.

    async def call(self, call: Call, policy: RetrySettings, hold_until: float | None = None) -> Any:
        """The result of a call, over as many tries as it takes.

        Args:
            call: what to send.
            policy: the route's retry policy.
            hold_until: when a call that waits because no endpoint is healthy gives up before its deadline.

        Raises:
            MeshError: from the table in `mesh.core.errors`.
            ClusterRemovedError: the configuration changed meanwhile; route it anew.
        """
        self._check_poison(call)
        call.stats.cluster = self.name
        plan = RetryPlan(policy, self._rng, call.avoid, suspect=bool(self.poison.victims(call.content)))
        while True:
            endpoint = await self._admission.enter(call, plan, hold_until)
            turn = plan.turn
            try:
                return await self._try(endpoint, call, plan)
            except TryFailedError as failed:
                self._blame(endpoint, call, failed)
                pause = plan.after(failed, endpoint.address, call.deadline - self._timing.now())
                if not call.hold:
                    raise failed.to_tell() from failed
                self._metrics.retries.labels(self.name, failed.kind).inc()
            finally:
                self._admission.leave(endpoint, call.lane, turn)
            if pause:
                with self._admission.holding(call):
                    await self._timing.sleep(pause)
            await self._judge_payload(call)

    def _check_poison(self, call: Call) -> None:
        try:
            self.poison.check(call.content)
        except QuarantinedPayloadError:
            self._metrics.poisoned.labels(self.name).inc()
            raise

    async def _try(self, endpoint: Endpoint, call: Call, plan: RetryPlan) -> Any:
        started = self._timing.now()
        remaining = call.deadline - started
        if remaining <= 0:
            raise plan.too_late()
        limit = plan.policy.per_try_timeout_seconds
        call.stats.endpoint = endpoint.address
        call.stats.tries += 1
        outcome = "cancelled"
        try:
            with span("try", cluster=self.name, endpoint=endpoint.address, number=call.stats.tries):
                result = await endpoint.attempt(call, min(remaining, limit) if limit else remaining)
            outcome = "ok"
        except TryFailedError as failed:
            outcome = failed.kind
            raise
        finally:
            took = self._timing.now() - started
            call.stats.upstream_seconds += took
            self._metrics.try_done(self.name, outcome, took)
        endpoint.succeeded()
        self.poison.absolve(call.content)
        return result

    def _blame(self, endpoint: Endpoint, call: Call, failed: TryFailedError) -> None:
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
        """Raises QuarantinedPayloadError for a payload during whose calls too many endpoints died while others live
        on."""
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
        self._timing.call_later(seconds, self._admission.dispatch)

    def _back_off(self, endpoint: Endpoint, failed: TryFailedError) -> None:
        seconds = DEFAULT_PUSHBACK_SECONDS if failed.retry_after_seconds is None else failed.retry_after_seconds
        endpoint.overloaded(seconds)
        self._timing.call_later(seconds, self._admission.dispatch)

    def _changed(self) -> None:
        """An endpoint came, went, or changed its health."""
        healthy = [endpoint for endpoint in self.endpoints if endpoint.available]
        for endpoint in self.endpoints:
            # Tries at an endpoint that hangs go on elsewhere, if there is an elsewhere.
            if endpoint.hung and healthy:
                endpoint.abort()
        self._admission.dispatch()
