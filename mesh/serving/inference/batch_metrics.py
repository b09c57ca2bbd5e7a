"""What a batcher does, as metrics of one part of a model."""

from collections.abc import Sequence

from mesh.serving import metrics


class BatchMetrics:
    """A batcher's observer."""

    def __init__(self, model: str, part: str) -> None:
        self._length = metrics.QUEUE_LENGTH.labels(model, part)
        self._seconds = metrics.QUEUE_SECONDS.labels(model, part)
        self._labels = (model, part)

    def queued(self, waiting: int) -> None:
        """So many items wait."""
        self._length.set(waiting)

    def started(self, waited_seconds: Sequence[float]) -> None:
        """A batch begins whose items have waited so long."""
        for seconds in waited_seconds:
            self._seconds.observe(seconds)

    def dropped(self, reason: str) -> None:
        """An item leaves without an answer."""
        metrics.DROPPED.labels(*self._labels, reason).inc()
