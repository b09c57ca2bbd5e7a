"""A session whose numbers are looked at: what is not finite is an error of the run, and is computed again in fp32."""

import threading
from collections.abc import Callable, Mapping

import structlog

from mesh.serving import metrics
from mesh.serving.runtimes.self_check import all_finite
from mesh.serving.runtimes.session import NOTHING_ENDS_IT, Array, Feeds, Interruption, ModelSession, TensorInfo

log = structlog.get_logger()


class NonFiniteOutputError(RuntimeError):
    """A graph gave infinities or NaN, in fp32 too: of this input nothing can be said."""


class GuardedSession:
    """Runs a session and passes on finite numbers alone.

    Args:
        session: what runs usually.
        open_exact: opens the same graph in fp32, when it is first needed; None where `session` is that already.
    """

    def __init__(self, session: ModelSession, open_exact: Callable[[], ModelSession] | None = None) -> None:
        self._session = session
        self._open_exact = open_exact
        self._exact: ModelSession | None = None
        self._lock = threading.Lock()

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The graph's inputs, in its order."""
        return self._session.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The graph's outputs, in its order."""
        return self._session.outputs

    @property
    def metadata(self) -> Mapping[str, str]:
        """Key-value notes stored in the model file."""
        return self._session.metadata

    @property
    def provider(self) -> str:
        """What runs it."""
        return self._session.provider

    @property
    def memory_bytes(self) -> int:
        """Memory it holds, in bytes, with the exact session once that was needed."""
        exact = self._exact
        return self._session.memory_bytes + (exact.memory_bytes if exact else 0)

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """All outputs, all of them finite.

        Raises:
            NonFiniteOutputError: they are not, in fp32 either.
            InterruptedRunError: it was ended.
        """
        outputs = self._session.run(feeds, interruption)
        if all_finite(outputs):
            return outputs
        metrics.NON_FINITE_RUNS.labels(self.provider).inc()
        if self._open_exact is not None:
            log.warning("numbers are not finite: computed again in fp32", provider=self.provider)
            outputs = self._exact_session().run(feeds, interruption)
            if all_finite(outputs):
                return outputs
        raise NonFiniteOutputError("the model gave numbers that are not finite, in fp32 too")

    def release_memory(self) -> bool:
        """Gives back what runs work in; returns whether no run was in the way."""
        released = self._session.release_memory()
        return (self._exact is None or self._exact.release_memory()) and released

    def close(self) -> None:
        """Gives the memory back."""
        self._session.close()
        if self._exact is not None:
            self._exact.close()

    def _exact_session(self) -> ModelSession:
        with self._lock:
            if self._exact is None:
                assert self._open_exact is not None
                self._exact = self._open_exact()
            return self._exact
