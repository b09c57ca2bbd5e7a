"""Which endpoints a cluster has at the moment: discovered, health-checked, drained when they disappear."""

import asyncio
from collections.abc import Callable

import structlog

from router.config import ClusterSettings
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.discovery import EndpointDiscovery, Resolver, system_resolver
from router.upstream.endpoints.endpoint import Endpoint, HealthState, Transport
from router.upstream.endpoints.endpoint_slices import ApiServer
from router.upstream.endpoints.health import HealthChecker
from router.upstream.endpoints.outlier import OutlierDetector
from router.upstream.timing import Timing

log = structlog.get_logger()

OpenTransport = Callable[[Address], Transport]


class Membership:
    """The endpoints of one cluster.

    Args:
        changed: called whenever an endpoint came, went, or changed its health.
    """

    def __init__(
        self,
        cluster: str,
        settings: ClusterSettings,
        open_transport: OpenTransport,
        timing: Timing,
        changed: Callable[[], None],
        resolver: Resolver = system_resolver,
        api_server: Callable[[], ApiServer] = ApiServer.of_this_pod,
    ) -> None:
        self.endpoints: list[Endpoint] = []
        self._cluster = cluster
        self._settings = settings
        self._open = open_transport
        self._timing = timing
        self._changed = changed
        self._again = asyncio.Event()
        self._discovery = EndpointDiscovery(settings.endpoints, resolver, self._again.set, api_server)
        self._checkers: dict[Endpoint, HealthChecker] = {}
        self._proven: set[Endpoint] = set()
        self._refreshing: asyncio.Task[None] | None = None
        self._dismissals: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Resolves once, begins to check, and goes on where the answer can change. Raises OSError: nowhere to ask."""
        self._discovery.start()
        self.update(await self._discovery.resolve())
        if self._discovery.changes:
            self._refreshing = asyncio.create_task(self._refresh())

    async def close(self) -> None:
        """Ends checking and closes every connection."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await self._discovery.close()
        # To its end: a dismissal that is cut short would leave a connection open.
        await asyncio.gather(*self._dismissals)
        endpoints, self.endpoints = self.endpoints, []
        for endpoint in endpoints:
            await self._dismiss(endpoint)

    def update(self, addresses: list[Address]) -> None:
        """Takes these addresses as the endpoints: new ones join, those that are gone get nothing new."""
        targets = {address.target for address in addresses}
        current = {endpoint.address: endpoint for endpoint in self.endpoints}
        for address in addresses:
            known = current.get(address.target)
            if known is None:
                self._join(address)
            else:
                known.draining = False
        for endpoint in list(self.endpoints):
            if endpoint.address not in targets and not endpoint.draining:
                log.info("endpoint is gone, draining it", cluster=self._cluster, endpoint=endpoint.address)
                endpoint.draining = True
                self.settled(endpoint)
        self._changed()

    def used(self, endpoint: Endpoint) -> None:
        """A request is sent to the endpoint."""
        if (checker := self._checkers.get(endpoint)) is not None:
            checker.used()

    def suspect(self, endpoint: Endpoint, detail: str) -> None:
        """A request found the endpoint gone."""
        if (checker := self._checkers.get(endpoint)) is not None:
            checker.suspect(detail)

    def refused(self, endpoint: Endpoint) -> None:
        """A request found that the endpoint takes another token than the router's."""
        if (checker := self._checkers.get(endpoint)) is not None:
            checker.refused()

    def settled(self, endpoint: Endpoint) -> None:
        """A call left the endpoint: one that is being drained and has none left goes."""
        if endpoint.draining and endpoint.active == 0 and endpoint in self.endpoints:
            self.endpoints = [other for other in self.endpoints if other is not endpoint]
            task = asyncio.create_task(self._dismiss(endpoint))
            self._dismissals.add(task)
            task.add_done_callback(self._dismissals.discard)

    def _join(self, address: Address) -> None:
        outlier = OutlierDetector(self._settings.outlier_detection, self._timing.now)
        endpoint = Endpoint(address.target, self._open(address), outlier, self._timing.now, address.zone)
        self.endpoints = [*self.endpoints, endpoint]
        self._checkers[endpoint] = HealthChecker(
            endpoint, self._settings.health_check, self._timing, self._health_changed
        )

    async def _dismiss(self, endpoint: Endpoint) -> None:
        checker = self._checkers.pop(endpoint, None)
        if checker is not None:
            await checker.stop()
        self._proven.discard(endpoint)
        await endpoint.transport.close()

    async def _refresh(self) -> None:
        while True:
            timer = self._timing.call_later(self._settings.dns_refresh_seconds, self._again.set)
            try:
                await self._again.wait()
            finally:
                timer.cancel()
            self._again.clear()
            self.update(await self._discovery.resolve())

    def _health_changed(self, endpoint: Endpoint) -> None:
        # A service that is still starting is nothing to be alarmed about; one that was there and has gone is.
        write, event = log.info, "endpoint is not ready yet"
        if endpoint.health is HealthState.HEALTHY:
            self._proven.add(endpoint)
            event = "endpoint is healthy"
        elif endpoint.refuses:
            write, event = log.warning, "endpoint refuses the router's token"
        elif endpoint in self._proven:
            write, event = log.warning, f"endpoint is {endpoint.health}"
        write(
            event,
            cluster=self._cluster,
            endpoint=endpoint.address,
            detail=endpoint.health_detail,
        )
        self._changed()
