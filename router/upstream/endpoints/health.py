"""Active health checking: one task for each endpoint, which tells the cluster what it finds.

A check is due after a pause, when a request finds the endpoint gone, and when the connection to it breaks.
"""

import asyncio
from collections.abc import Callable

from router.config import HealthCheckSettings
from router.upstream.endpoints.endpoint import Endpoint, HealthState, Probe
from router.upstream.timing import Timing

_DETAILS = {
    Probe.SERVING: "serving",
    Probe.NOT_SERVING: "says that it is not serving",
    Probe.UNREACHABLE: "cannot be connected to",
    Probe.TIMEOUT: "does not answer health checks",
    Probe.REFUSED: "refuses the router's token: set the same MESH_AUTH_TOKEN on both sides",
}


VOUCHED_SECONDS = 10.0
"""An endpoint that was suspected and passes the check that follows is not suspected again for so long: something in
between drops calls, and neither state nor log may flap with every one of them."""
QUIET_SECONDS = 30.0
"""An endpoint rests when for so long nothing was asked of it."""
REST_FACTOR = 5
"""So many times the usual pause lies between checks of one that rests: they would be most of what an idle mesh does."""


class HealthChecker:
    """Checks one endpoint for as long as it exists.

    Args:
        endpoint: whose `health` this object alone sets.
        changed: called after the endpoint's health has changed.
    """

    def __init__(
        self, endpoint: Endpoint, settings: HealthCheckSettings, timing: Timing, changed: Callable[[Endpoint], None]
    ) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._timing = timing
        self._changed = changed
        self._soon = asyncio.Event()
        self._passed = 0
        self._timed_out = 0
        self._suspected = False
        self._used_at = float("-inf")
        self._resting = False
        self._vouched_until = float("-inf")
        self._task = asyncio.create_task(self._run(), name=f"health of {endpoint.address}")

    def suspect(self, detail: str) -> None:
        """A request found the endpoint gone: unhealthy from now on, and checked again at once."""
        self._doubt(detail)

    def refused(self) -> None:
        """A request found that the endpoint takes another token than the router's: likewise."""
        self._doubt(_DETAILS[Probe.REFUSED], refuses=True)

    def used(self) -> None:
        """A request is sent there: one that rests is checked at once, and as often as usual from now on."""
        self._used_at = self._timing.now()
        if self._resting:
            self._resting = False
            self._soon.set()

    def _doubt(self, detail: str, *, refuses: bool = False) -> None:
        self._soon.set()
        if self._timing.now() >= self._vouched_until:
            self._passed = 0
            self._suspected = True
            self._set(HealthState.UNHEALTHY, detail, refuses=refuses)

    async def stop(self) -> None:
        """Ends checking."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._soon.clear()
            transport, limit = self._endpoint.transport, self._settings.timeout_seconds
            probe = await transport.probe(limit)
            # Who waits for a model to be downloaded is told how far it is.
            self.note(probe, await transport.progress(limit) if probe is Probe.NOT_SERVING else "")
            timer = self._timing.call_later(self._pause(), self._soon.set)
            try:
                await self._soon.wait()
            finally:
                timer.cancel()

    def _pause(self) -> float:
        """Until the next check, unless something happens before."""
        endpoint = self._endpoint
        if endpoint.health is not HealthState.HEALTHY or self._timed_out:
            return self._settings.unhealthy_interval_seconds
        quiet_since = max(self._used_at, endpoint.changed_at)
        quiet = not endpoint.active and self._timing.now() - quiet_since >= QUIET_SECONDS
        # Only where a process that ends is noticed all the same.
        self._resting = endpoint.transport.watch(self._soon.set) and quiet
        return self._settings.interval_seconds * (REST_FACTOR if self._resting else 1)

    def note(self, probe: Probe, progress: str = "") -> None:
        """Takes one check's outcome into account; `progress` is what the service says that it is busy with."""
        suspected, self._suspected = self._suspected, False
        if suspected and probe is Probe.SERVING:
            self._vouched_until = self._timing.now() + VOUCHED_SECONDS
        self._endpoint.hung = probe is Probe.TIMEOUT and self._timed_out + 1 >= self._settings.unhealthy_threshold
        self._timed_out = self._timed_out + 1 if probe is Probe.TIMEOUT else 0
        self._passed = self._passed + 1 if probe is Probe.SERVING else 0
        if probe is Probe.SERVING:
            if self._endpoint.health is HealthState.HEALTHY or self._passed >= self._settings.healthy_threshold:
                self._set(HealthState.HEALTHY, _DETAILS[probe], same_process=suspected)
        elif probe is not Probe.TIMEOUT or self._timed_out >= self._settings.unhealthy_threshold:
            self._set(HealthState.UNHEALTHY, progress or _DETAILS[probe], refuses=probe is Probe.REFUSED)

    def _set(self, state: HealthState, detail: str, *, same_process: bool = False, refuses: bool = False) -> None:
        endpoint = self._endpoint
        endpoint.health_detail = detail
        newly_refuses, endpoint.refuses = refuses and not endpoint.refuses, refuses
        if endpoint.health is state:
            if newly_refuses:
                self._changed(endpoint)  # a person must act, unlike before
            return
        was, endpoint.health = endpoint.health, state
        endpoint.changed_at = self._timing.now()
        if state is HealthState.HEALTHY and was is HealthState.UNHEALTHY and not same_process:
            endpoint.outlier.restart()
        self._changed(endpoint)
