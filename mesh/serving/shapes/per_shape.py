"""A session for each shape, where a device compiles a graph for each: opened in the background, or when needed.

A shape that its pictures fill has no padding to leave out: it is run in the graph as it was, which is cheaper.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from mesh.serving.runtimes.session import (
    NOTHING_ENDS_IT,
    Array,
    Feeds,
    Interruption,
    ModelSession,
    StaticShapes,
    TensorInfo,
    dummy_feeds,
)
from mesh.serving.shapes.graphs import MaskedGraph
from mesh.serving.shapes.masked import MASK
from mesh.serving.shapes.shape_set import Shape, Size

log = structlog.get_logger()

ANY = 0
"""In place of the batch, where one session is for batches of several sizes."""


class PerShapeSessions:
    """The sessions of one graph, as a session: of its masked form where the feeds hold a mask, else of itself.

    Args:
        graph: of which.
        open_for: compiles the masked form for one shape. Blocking: seconds or minutes.
        open_plain_for: compiles the graph as it was.
        first: opened at once.
        batches: how many pictures of a size a batch may hold, rising, where one session is for all of them; else None.
        axis_names: what the graph as it was calls the axes of its input.
        which: the graph, for the log.

    Raises:
        UnavailableError: from `open_for`.
    """

    def __init__(
        self,
        graph: MaskedGraph,
        open_for: Callable[[StaticShapes], ModelSession],
        open_plain_for: Callable[[StaticShapes], ModelSession],
        first: Shape,
        *,
        batches: Callable[[Size], tuple[int, ...]] | None = None,
        axis_names: Mapping[str, Sequence[str]] | None = None,
        which: Mapping[str, str],
    ) -> None:
        self._graph = graph
        self._open_for = {False: open_for, True: open_plain_for}
        self._batches = batches
        self._axis_names = {False: None, True: axis_names}
        self._which = which
        self._sessions: dict[Shape, ModelSession] = {}
        self._builds: dict[Shape, threading.Lock] = {}
        self._lock = threading.Lock()
        opened = self._session(first)
        self.inputs: tuple[TensorInfo, ...] = (graph.picture.info,)
        self.outputs: tuple[TensorInfo, ...] = tuple(
            TensorInfo(info.name, _opened(info.shape, {0, *grown}), info.dtype)
            for info, grown in zip(opened.outputs, graph.outputs, strict=True)
        )
        self.metadata = opened.metadata
        self.provider = opened.provider

    @property
    def memory_bytes(self) -> int:
        """Of the weights of all that are open."""
        return sum(session.memory_bytes for session in list(self._sessions.values()))

    @property
    def ready(self) -> int:
        """Sessions that are open."""
        return len(self._sessions)

    def key(self, shape: Shape) -> Shape:
        """Which of the sessions a shape is run in."""
        key = shape if self._batches is None else shape._replace(batch=ANY)
        return key if self._graph.takes_mask else key._replace(is_filled=True)

    @property
    def takes_any_batch(self) -> bool:
        """Whether one session is for batches of several sizes."""
        return self._batches is not None

    @property
    def pixels(self) -> int:
        """What the largest runs of all that are open hold together."""
        return sum(
            key.pixels or Shape(self._batches(key.size)[-1] if self._batches else 1, *key.size).pixels
            for key in list(self._sessions)
        )

    def is_ready(self, shape: Shape) -> bool:
        """Whether a run of the shape starts at once."""
        return self.key(shape) in self._sessions

    def prepare(self, shape: Shape) -> None:
        """Opens the session for a shape, and runs it once: what the first run compiles is done then. Blocking."""
        self._session(shape).run(self._feeds(shape))

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """All outputs, from the session for the shape of the feeds, which is opened first when there is none.

        Raises:
            InterruptedRunError: it was ended.
            UnavailableError: it cannot be compiled for this shape.
        """
        picture = feeds[self._graph.picture.info.name].shape
        size = self._graph.picture.size_of(picture)
        return self._session(Shape(picture[0], *size, MASK not in feeds)).run(feeds, interruption)

    def release_memory(self) -> bool:
        """Gives back what runs work in; returns whether no run was in the way."""
        sessions = list(self._sessions.values())
        return sum(session.release_memory() for session in sessions) == len(sessions)

    def close(self) -> None:
        """Gives the memory back."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()

    def _session(self, shape: Shape) -> ModelSession:
        key = self.key(shape)
        if (known := self._sessions.get(key)) is not None:
            return known
        with self._lock:
            build = self._builds.setdefault(key, threading.Lock())
        with build:  # who needs the same one waits for it; others build theirs meanwhile
            if (known := self._sessions.get(key)) is None:
                started = time.perf_counter()
                inputs = {name: array.shape for name, array in self._feeds(shape).items()}
                shapes = StaticShapes(inputs, self._range(shape.size), self._axis_names[key.is_filled])
                known = self._open_for[key.is_filled](shapes)
                self._sessions[key] = known
                seconds = round(time.perf_counter() - started, 1)
                log.info("compiled for a shape", **self._which, shape=str(key), seconds=seconds)
        return known

    def _range(self, size: Size) -> tuple[int, int, int] | None:
        """Least, usual and most pictures of a batch that one session is for."""
        if self._batches is None:
            return None
        batches = self._batches(size)
        return 1, batches[len(batches) // 2], batches[-1]

    def _feeds(self, shape: Shape) -> dict[str, Array]:
        picture, size = self._graph.picture, shape.size
        feeds = dummy_feeds((picture.info,), dict(enumerate(picture.shape(shape.batch, size))))
        return feeds if self.key(shape).is_filled else {**feeds, MASK: self._graph.masks([size], size, shape.batch)}


class BothForms:
    """A session that takes any shape, of a graph and of its masked form: where the feeds hold a mask, it is of this.

    Args:
        plain: the graph as it was.
        masked: its masked form.
    """

    def __init__(self, plain: ModelSession, masked: ModelSession) -> None:
        self._plain = plain
        self._masked = masked
        self.inputs = plain.inputs
        self.outputs = plain.outputs
        self.metadata = plain.metadata
        self.provider = plain.provider

    @property
    def memory_bytes(self) -> int:
        """Of both forms' weights."""
        return self._plain.memory_bytes + self._masked.memory_bytes

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """All outputs. Raises InterruptedRunError: it was ended."""
        return (self._masked if MASK in feeds else self._plain).run(feeds, interruption)

    def release_memory(self) -> bool:
        """Gives back what runs work in; returns whether no run was in the way."""
        released = self._plain.release_memory()
        return self._masked.release_memory() and released

    def close(self) -> None:
        """Gives the memory back."""
        self._plain.close()
        self._masked.close()


def _opened(shape: tuple[int | None, ...], axes: set[int]) -> tuple[int | None, ...]:
    """A shape with these axes left open."""
    return tuple(None if axis in axes else size for axis, size in enumerate(shape))
