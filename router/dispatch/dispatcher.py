"""Dispatch: the answers to one request's tasks, routed, sent all at once, under one deadline.

listener ▸ Dispatcher.predict ▸ Dispatch ▸ single flight ▸ (fallback ▸ mirror ▸ hedge) ▸ cluster
"""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

from mesh.core.context import REQUEST_ID_HEADER
from mesh.core.context import deadline as deadline_variable
from mesh.core.errors import DimensionMismatchError
from mesh.core.tracing import span
from router.dispatch.cluster_manager import ClusterManager
from router.dispatch.policies.fallback import with_fallback
from router.dispatch.policies.hedge import hedged
from router.dispatch.policies.mirror import Mirror
from router.dispatch.policies.single_flight import SingleFlight
from router.dispatch.routes import Destination
from router.dispatch.sending import Send, TaskCall, sender
from router.domain.requests import CallStats, PredictRequest
from router.domain.results import ClipImageResult, ClipTextResult, NativeResult, Result
from router.domain.tasks import Task
from router.metrics import RouterMetrics
from router.upstream.calls import ClusterRemovedError
from router.upstream.clients import CallContext
from router.upstream.timing import Timing


class Dispatcher:
    """What all requests share: clusters and routes, the calls under way, and the policies around a call.

    Args:
        clusters: where calls go.
        metrics: counts shared, hedged and mirrored calls, and answers of the last resort.
        timing, rng: clock and randomness.
    """

    def __init__(self, clusters: ClusterManager, metrics: RouterMetrics, timing: Timing, rng: random.Random) -> None:
        self.clusters = clusters
        self._metrics = metrics
        self._send = sender(clusters.cluster)
        self._mirror = Mirror(metrics, rng)
        self.flights = SingleFlight(timing.now, lambda call: metrics.shared.labels(call.task.task).inc())

    def predict(self, request: PredictRequest) -> Coroutine[Any, Any, list[Result]]:
        """The answers to the request's tasks, in their order. Raises MeshError: the first task's failure."""
        return Dispatch(self, request).results()

    def policies(self, destination: Destination) -> Send:
        """The way to a destination: the sender with what its route asks for around it, and nothing else."""
        send, route = self._send, destination.route
        if route.hedge_ms is not None:
            send = hedged(send, route.hedge_ms / 1000, self._metrics.hedges.labels(destination.cluster).inc)
        if route.mirror is not None:
            send = self._mirror.around(send, route.mirror, self._send)
        if destination.fallback:
            send = with_fallback(send, self._send, self.clusters.cluster, self._metrics)
        return send

    async def close(self) -> None:
        """Drops the mirrored copies under way."""
        await self._mirror.close()


class Dispatch:
    """One request on its way."""

    def __init__(self, dispatcher: Dispatcher, request: PredictRequest) -> None:
        self._dispatcher = dispatcher
        self._request = request
        self._headers = ((REQUEST_ID_HEADER, request.request_id),)
        self._deadline = 0.0

    async def results(self) -> list[Result]:
        """The answers to the tasks, in their order.

        Every task is routed, and its payload found, before anything is sent: a request that can never succeed as a
        whole costs no inference. One failure ends the other tasks.

        Raises:
            MeshError: the first task's failure.
        """
        tasks, stats = self._request.tasks, self._request.stats
        self._deadline = self._request.started + self._timeout_seconds()
        deadline_variable.set(self._deadline)
        if len(tasks) == 1:
            return [await self._result(tasks[0], stats[0])]
        try:
            async with asyncio.TaskGroup() as group:
                running = [
                    group.create_task(self._result(task, noted)) for task, noted in zip(tasks, stats, strict=True)
                ]
        except BaseExceptionGroup as failures:
            # With its traceback the group would hold itself, and so the payload, until the garbage collector comes by.
            failure = failures.with_traceback(None).exceptions[0]
        else:
            return [task.result() for task in running]
        try:
            raise failure
        finally:
            del failure, running, group  # likewise: the failure's traceback holds this frame

    def _timeout_seconds(self) -> float:
        """The shortest of the tasks' routes. Raises MeshError: a task has no route or no payload."""
        with span("route", tasks=len(self._request.tasks)):
            for task in self._request.tasks:
                self._request.content(task)
            routes = self._dispatcher.clusters.routes
            return min(routes.find(task).route.timeout_seconds for task in self._request.tasks)

    async def _result(self, task: Task, stats: CallStats) -> Result:
        dispatcher, content = self._dispatcher, self._request.content(task)
        while True:
            destination = dispatcher.clusters.routes.find(task)
            context = CallContext(self._deadline, self._headers, destination.route.retry, stats=stats)
            call = TaskCall(task, self._request, content, destination, context)
            try:
                with span("upstream", cluster=destination.cluster, task=task.task):
                    result = await dispatcher.flights.send(call, dispatcher.policies(destination))
            except ClusterRemovedError:
                continue  # the configuration changed meanwhile
            stats.model = "" if isinstance(result, NativeResult) else result.model_name
            return _as_promised(result, task, destination)


def _as_promised(result: Result, task: Task, destination: Destination) -> Result:
    """The result, unless its vector has another length than Immich expects. Raises DimensionMismatchError."""
    if destination.asked_dimension is None or not isinstance(result, ClipImageResult | ClipTextResult):
        return result
    if len(result.embedding) != destination.asked_dimension:
        raise DimensionMismatchError(
            f"Immich is set to the CLIP model {task.model_name} with {destination.asked_dimension} dimensions, but"
            f" {result.model_name or 'the service'} gives {len(result.embedding)}:"
            " set ROUTER_CLIP_MODEL and Immich to models of one dimension"
        )
    return result
