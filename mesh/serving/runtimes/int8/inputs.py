"""What a service's graphs are fed when it handles photos: what their int8 versions learn from.

Put into the runtime's settings as what opens sessions, so that a photo takes the service's own way to each graph.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.session import (
    NOTHING_ENDS_IT,
    Array,
    Feeds,
    Interruption,
    ModelSession,
    RuntimeSettings,
    TensorInfo,
)

HELD_OUT = 4
"""Inputs of each graph that it does not learn from: those of its self-check."""


@dataclass
class InputLog:
    """Inputs of every graph, a sample where there are many.

    The sample is those of the lowest checksums: by chance, yet the same whatever the order that they come in.

    Attributes:
        most: of one graph.
    """

    most: int
    _kept: dict[Path, dict[str, Feeds]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open_session(self, graph: Path, runtime: RuntimeSettings, threads: int) -> ModelSession:
        """A session in onnxruntime's fp32 that notes what it is fed. Raises UnavailableError."""
        return NotedSession(OnnxSession(graph, runtime, threads), partial(self.note, graph))

    def note(self, graph: Path, feeds: Feeds) -> None:
        """One run."""
        digest = _digest(feeds)
        with self._lock:
            kept = self._kept.setdefault(graph, {})
            kept[digest] = {name: np.array(array) for name, array in feeds.items()}
            if len(kept) > self.most:
                del kept[max(kept)]

    def of_graphs(self) -> dict[Path, list[Feeds]]:
        """Inputs by graph, by their checksums. Those of a batch come apart: a version learns from single items."""
        return {graph: [feeds for _, feeds in sorted(kept.items())] for graph, kept in self._kept.items()}


class NotedSession:
    """A session that tells what it is fed, once a run came through whole."""

    def __init__(self, session: ModelSession, note: Callable[[Feeds], None]) -> None:
        self._session = session
        self._note = note
        self.inputs: tuple[TensorInfo, ...] = session.inputs
        self.outputs: tuple[TensorInfo, ...] = session.outputs
        self.metadata: Mapping[str, str] = session.metadata
        self.provider = session.provider
        self.memory_bytes = session.memory_bytes

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """Runs it, and tells."""
        outputs = self._session.run(feeds, interruption)
        self._note(feeds)
        return outputs

    def release_memory(self) -> bool:
        """As the session."""
        return self._session.release_memory()

    def close(self) -> None:
        """As the session."""
        self._session.close()


def _digest(feeds: Feeds) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(feeds.items()):
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
