"""Mirroring: copies of requests go to a shadow cluster, whose answers are compared and counted, never used."""

import asyncio
import math
import random
from dataclasses import replace

import structlog

from mesh.core.errors import MeshError
from router.config import MirrorSettings
from router.dispatch.sending import Send, TaskCall
from router.domain.results import ClipImageResult, ClipTextResult, FaceResult, OcrResult, Result
from router.metrics import RouterMetrics
from router.upstream.calls import ClusterRemovedError
from router.upstream.clients import CallContext

log = structlog.get_logger()

SAME_COSINE = 0.99
"""Vectors that agree better than this count as the same."""


class Mirror:
    """The copies under way, of all routes."""

    def __init__(self, metrics: RouterMetrics, rng: random.Random) -> None:
        self._metrics = metrics
        self._rng = rng
        self._copies: set[asyncio.Task[None]] = set()

    def around(self, send: Send, settings: MirrorSettings, copy: Send) -> Send:
        """`send`, and after it, by `copy`, the same to the shadow cluster."""

        async def mirrored(call: TaskCall) -> Result:
            result = await send(call)
            context = CallContext(call.context.deadline, call.context.headers, call.context.retry, hold=False)
            self._copy(settings, result, copy, replace(call.at(settings.cluster), context=context))
            return result

        return mirrored

    async def close(self) -> None:
        """Drops the copies under way."""
        for task in self._copies:
            task.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)

    def _copy(self, settings: MirrorSettings, result: Result, send: Send, call: TaskCall) -> None:
        """Sends a copy in the background, if it is drawn and there is room, and compares its answer with `result`."""
        if self._rng.uniform(0, 100) >= settings.percent:
            return
        if len(self._copies) >= settings.max_concurrent:
            self._metrics.mirrored.labels(settings.cluster, "left_out").inc()
            return
        task = asyncio.create_task(self._compare(settings.cluster, result, send, call))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def _compare(self, cluster: str, result: Result, send: Send, call: TaskCall) -> None:
        try:
            outcome = "same" if agree(result, await send(call)) else "different"
        except (MeshError, ClusterRemovedError) as error:
            outcome = "failed"
            log.debug("mirrored request failed", cluster=cluster, error=str(error))
        self._metrics.mirrored.labels(cluster, outcome).inc()


def agree(one: Result, other: Result) -> bool:
    """Whether two answers say the same: equal texts, faces that match one to one, vectors that point the same way."""
    match one, other:
        case OcrResult(), OcrResult():
            return [line.text for line in one.lines] == [line.text for line in other.lines]
        case ClipImageResult() | ClipTextResult(), ClipImageResult() | ClipTextResult():
            return _close(one.embedding, other.embedding)
        case FaceResult(), FaceResult():
            pairs = zip(one.faces, other.faces, strict=False)
            return len(one.faces) == len(other.faces) and all(_close(a.embedding, b.embedding) for a, b in pairs)
        case _:
            return one == other


def _close(one: list[float], other: list[float]) -> bool:
    if len(one) != len(other):
        return False
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return product > SAME_COSINE * (math.hypot(*one) * math.hypot(*other))
