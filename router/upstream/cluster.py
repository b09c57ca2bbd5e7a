"""A cluster: endpoints that answer the same calls, and everything that happens between a call and its reply.

A call is admitted (circuit breaker, balancer; else it is held), tried at an endpoint, and its failure, if it fails,
decides whether it is held, tried again or given up. Errors are the last resort: passing trouble is waited out until the
call's deadline. What cannot pass is told at once: a wrong request, a model that no endpoint can have, a payload that
crashes whatever works on it.
"""

import random
from collections.abc import Iterable
from typing import Any

import structlog

from mesh.core.rpc.status import EXCLUSIVE_SECONDS
from mesh.core.tracing import span
from router.config import ClusterSettings, RetrySettings
from router.domain.tasks import Lane
from router.errors import QuarantinedPayloadError
from router.metrics import RouterMetrics
from router.upstream.admission.admission import Admission
from router.upstream.admission.quarantine import Quarantine
from router.upstream.admission.retry import ENDPOINTS_FAULT, RetryPlan
from router.upstream.calls import Call, FailureKind, TryFailedError, Turn
from router.upstream.endpoints.endpoint import Endpoint
from router.upstream.endpoints.membership import Membership, OpenTransport
from router.upstream.timing import LoopTiming, Timing

log = structlog.get_logger()

DEFAULT_PUSHBACK_SECONDS = 0.5
"""How long an endpoint that said it is overloaded is left alone when it did not say for how long."""
LEAST_PUSHBACK_SECONDS = 0.05
"""However short it said: not even a service that asks for it is called without a pause."""
QUIET_PATIENCE_SECONDS = 60.0
"""How long a suspect waits for a moment in which its crash would tell something."""
LEAVING_SECONDS = 1.0
"""An endpoint that was not serving for longer than that before its connection broke was leaving, and did not crash."""


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
        self._timing = timing or LoopTiming()
        self.quarantine = Quarantine(settings.quarantine, self._timing.now)
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._metrics = metrics
        self._down_since: float | None = self._timing.now()
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

    def wait_until(self, seconds: float) -> float:
        """When a request of now stops waiting for this cluster: so long from now, or after the cluster went down."""
        return seconds + (self._timing.now() if self._down_since is None else self._down_since)

    def active(self, lane: Lane) -> int:
        """Requests at the endpoints."""
        return self._admission.active(lane)

    def held(self, lane: Lane) -> int:
        """Requests that wait."""
        return self._admission.held(lane)

    def held_bytes(self) -> int:
        """Bytes of the requests that wait."""
        return self._admission.held_bytes

    def longest_wait_seconds(self) -> float:
        """How long the request that has waited longest has done so; 0 while none waits."""
        return self._admission.longest_wait_seconds

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
        self._check_quarantine(call)
        call.stats.cluster = self.name
        plan = RetryPlan(policy, self._rng, call.avoid, suspect=self.quarantine.is_suspect(call.content))
        while True:
            endpoint = await self._admission.enter(call, plan, hold_until)
            self._members.used(endpoint)
            turn, started, unchanged_since = plan.turn, self._timing.now(), self._unchanged_since()
            call.exclusive = turn is Turn.PROBATION
            try:
                return await self._try(endpoint, call, plan)
            except TryFailedError as failed:
                if failed.kind is FailureKind.DIED:
                    self._record_crash(endpoint, call, failed, started, unchanged_since)
                self._note_failure(endpoint, failed)
                self._check_quarantine(call)
                pause = plan.after(failed, endpoint.address, call.deadline - self._timing.now(), self._addresses())
                if not call.hold:
                    raise failed.to_tell() from failed
                self._metrics.retries.labels(self.name, failed.kind).inc()
            finally:
                self._admission.leave(endpoint, call.lane, turn)
            if pause:
                with self._admission.holding(call):
                    await self._timing.sleep(pause)
                    await self._quiet(call, plan)

    def _check_quarantine(self, call: Call) -> None:
        try:
            self.quarantine.check(call.content)
        except QuarantinedPayloadError:
            self._metrics.quarantined.labels(self.name).inc()
            raise

    def _addresses(self) -> list[str]:
        return [endpoint.address for endpoint in self.endpoints if endpoint.state == "healthy"]

    def _unchanged_since(self, but: Endpoint | None = None) -> float:
        """When an endpoint last came or went."""
        changes = (endpoint.changed_at for endpoint in self.endpoints if endpoint is not but)
        return max(changes, default=float("-inf"))

    async def _quiet(self, call: Call, plan: RetryPlan) -> None:
        """Waits, before a further probation, until no endpoint has come or gone for a while."""
        if not plan.probations:
            return
        end = min(call.deadline, self._timing.now() + QUIET_PATIENCE_SECONDS)
        seconds = self.settings.quarantine.quiet_seconds
        while (left := min(end, self._unchanged_since() + seconds) - self._timing.now()) > 0:
            await self._timing.sleep(left)

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
        self.quarantine.clear(call.content, call.method)
        return result

    def _record_crash(
        self, endpoint: Endpoint, call: Call, failed: TryFailedError, started: float, unchanged_since: float
    ) -> None:
        """What a process that died says about the payload it worked on.

        Args:
            started: when the try began.
            unchanged_since: when an endpoint had last come or gone at that moment.
        """
        now = self._timing.now()
        leaving = endpoint.draining or started < endpoint.changed_at < now - LEAVING_SECONDS
        since = max(unchanged_since, self._unchanged_since(but=endpoint))
        quarantined = self.quarantine.record_crash(
            call.content,
            call.method,
            exclusive=failed.exclusive and now - started < EXCLUSIVE_SECONDS,
            quiet=not leaving and since <= started - self.settings.quarantine.quiet_seconds,
        )
        if quarantined:
            log.error("payload quarantined", cluster=self.name, method=call.method, sha256=call.content.digest.hex())

    def _note_failure(self, endpoint: Endpoint, failed: TryFailedError) -> None:
        """What a failed try says about the endpoint."""
        if failed.kind in (FailureKind.CLIENT, FailureKind.MODEL_UNAVAILABLE):
            endpoint.outlier.succeeded()
        elif failed.kind is FailureKind.OVERLOADED:
            self._back_off(endpoint, failed)
        elif failed.kind is FailureKind.REFUSED:
            endpoint.failures += 1
            self._members.refused(endpoint)
        elif failed.kind in ENDPOINTS_FAULT:
            endpoint.failures += 1
            self._judge(endpoint)
        if failed.kind in (FailureKind.UNREACHABLE, FailureKind.DIED):
            self._members.suspect(endpoint, str(failed.error))

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
        asked = failed.retry_after_seconds
        seconds = DEFAULT_PUSHBACK_SECONDS if asked is None else max(LEAST_PUSHBACK_SECONDS, asked)
        endpoint.overloaded(seconds)
        self._timing.call_later(seconds, self._admission.dispatch)

    def _changed(self) -> None:
        """An endpoint came, went, or changed its health."""
        if self.can_serve:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = self._timing.now()
        healthy = [endpoint for endpoint in self.endpoints if endpoint.available]
        for endpoint in self.endpoints:
            # Tries at an endpoint that hangs go on elsewhere, if there is an elsewhere.
            if endpoint.hung and healthy:
                endpoint.abort()
        self._admission.dispatch()
