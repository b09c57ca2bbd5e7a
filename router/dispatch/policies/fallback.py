"""Fallback: what its own cluster cannot answer for now goes to the route's cluster of last resort."""

from collections.abc import Callable
from typing import Protocol

import structlog

from mesh.core.errors import ModelUnavailableError, UnavailableError
from router.dispatch.sending import Send, TaskCall
from router.domain.results import Result
from router.metrics import RouterMetrics

log = structlog.get_logger()


class Availability(Protocol):
    """What is asked of the call's own cluster."""

    @property
    def can_serve(self) -> bool:
        """Whether any endpoint passes its health checks."""

    def wait_until(self, seconds: float) -> float:
        """When a call of now stops waiting: so long from now, or after the cluster went down."""


def with_fallback(
    send: Send,
    last_resort: Send,
    availability: Callable[[str], Availability],
    metrics: RouterMetrics,
) -> Send:
    """`send`, and the destination's fallback once its cluster has been down for `fallback_after_seconds`.

    Args:
        send: the way to the own cluster.
        last_resort: the way to the fallback.
        availability: finds a cluster by name; raises ClusterRemovedError.
        metrics: counts the answers of the last resort.
    """

    async def fall_back(call: TaskCall) -> Result:
        destination = call.destination
        cluster = availability(destination.cluster)
        hold_until = cluster.wait_until(destination.route.fallback_after_seconds)
        try:
            return await send(call.with_context(hold_until=hold_until))
        except UnavailableError as error:
            lacks_model = isinstance(error, ModelUnavailableError)
            if not lacks_model and availability(destination.cluster).can_serve:
                raise
            reason = "its model cannot be had" if lacks_model else "it stays down"
            log.warning("last resort", cluster=destination.cluster, reason=reason, error=error.message)
        metrics.fallbacks.labels(destination.fallback).inc()
        return await last_resort(call.at(destination.fallback))

    return fall_back
