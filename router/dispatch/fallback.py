"""Fallback: a call whose own cluster stays down is answered by the route's cluster of last resort."""

from collections.abc import Callable
from typing import Protocol

import structlog

from mesh.core.errors import UnavailableError
from router.dispatch.sending import Send, TaskCall
from router.domain.results import Result
from router.metrics import RouterMetrics

log = structlog.get_logger()


class Availability(Protocol):
    """What is asked of the call's own cluster."""

    @property
    def can_serve(self) -> bool:
        """Whether any endpoint passes its health checks."""


def with_fallback(
    send: Send,
    last_resort: Send,
    availability: Callable[[str], Availability],
    now: Callable[[], float],
    metrics: RouterMetrics,
) -> Send:
    """`send`, and the destination's fallback once its cluster has been down for `fallback_after_seconds`.

    Args:
        send: the way to the own cluster.
        last_resort: the way to the fallback.
        availability: finds a cluster by name; raises ClusterRemovedError.
        now: the clock of deadlines.
        metrics: counts the answers of the last resort.
    """

    async def fall_back(call: TaskCall) -> Result:
        destination = call.destination
        hold_until = now() + destination.route.fallback_after_seconds
        try:
            return await send(call.with_context(hold_until=hold_until))
        except UnavailableError as error:
            if availability(destination.cluster).can_serve:
                raise
            log.warning("a cluster stays down: last resort", cluster=destination.cluster, error=error.message)
        metrics.fallbacks.labels(destination.fallback).inc()
        return await last_resort(call.at(destination.fallback))

    return fall_back
