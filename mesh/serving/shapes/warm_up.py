"""Compiles the shapes of a set in the background, the most wanted first, while no photo and no query is under way.

What was wanted is kept beside the graph: a process that starts anew begins with what the last one was asked for.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog
from prometheus_client import Gauge

from mesh.core.errors import MeshError
from mesh.serving.runtimes.compiled import Records
from mesh.serving.shapes.per_shape import PerShapeSessions
from mesh.serving.shapes.shape_set import Shape, ShapeSet

log = structlog.get_logger()

NICENESS = 10
"""Added to that of the thread that compiles, and of those that it starts: what comes meanwhile goes first."""
POLL_SECONDS = 0.5
"""Between two looks whether photos are under way."""
RECORD = "wanted shapes"


class WarmUp:
    """What is still to compile.

    Args:
        shapes: all of them.
        sessions: where they are compiled.
        wanted: how often each was, counted while the engine runs.
        is_calm: whether nobody waits for anything on this machine.
        ready: shows how many are compiled.
        which: the graph, for the log.
        pause: waits.
    """

    def __init__(
        self,
        shapes: ShapeSet,
        sessions: PerShapeSessions,
        wanted: Mapping[Shape, int],
        is_calm: Callable[[], bool],
        ready: Gauge,
        which: Mapping[str, str],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._shapes = shapes
        self._sessions = sessions
        self._wanted = wanted
        self._is_calm = is_calm
        self._ready = ready
        self._which = which
        self._pause = pause
        self._failed: set[Shape] = set()
        self._ready.set(sessions.ready)
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "warm-up", initializer=_step_back)

    def start(self) -> None:
        """Goes on by itself from now on, on the running loop."""
        self._task = asyncio.create_task(self.run(), name=f"warm-up {self._which}")

    async def stop(self) -> None:
        """Begins no further shape, and returns when the one under way is done: compilers cannot be interrupted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._thread.shutdown()

    async def run(self) -> None:
        """Compiles what is not ready, one after the other, while there is room."""
        while (shape := self._next()) is not None:
            while not self._is_calm():
                await self._pause(POLL_SECONDS)
            await self._compile(shape)
        ready = self._sessions.ready
        log.info("shapes are compiled", **self._which, ready=ready, failed=len(self._failed))

    async def _compile(self, shape: Shape) -> None:
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._sessions.prepare, shape)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise
        except (MeshError, RuntimeError) as error:
            self._failed.add(self._sessions.key(shape))
            log.warning("not compiled for a shape", **self._which, shape=str(shape), reason=str(error))
        self._ready.set(self._sessions.ready)

    def _next(self) -> Shape | None:
        """The most wanted of those that are not ready and have room; in the set's order where none was."""
        room = self._shapes.room_pixels - self._sessions.pixels
        all_shapes = [*self._shapes, *(shape for shape in list(self._wanted) if shape.is_filled)]
        left = [
            shape
            for shape in all_shapes
            if shape in self._shapes
            and shape.pixels <= room
            and not self._sessions.is_ready(shape)
            and self._sessions.key(shape) not in self._failed
        ]
        return max(left, key=lambda shape: self._wanted.get(shape, 0), default=None)


def _step_back() -> None:
    if hasattr(os, "setpriority"):  # on Linux a thread has a niceness of its own, and hands it on
        os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS))


def wanted_before(records: Records | None) -> Counter[Shape]:
    """How often each shape was wanted, as `keep_wanted` kept it."""
    noted = (records.read(RECORD) if records else None) or {}
    found = {Shape.of(name): times for name, times in noted.items() if isinstance(times, int) and times > 0}
    return Counter({shape: times for shape, times in found.items() if shape})


def keep_wanted(records: Records | None, wanted: Mapping[Shape, int]) -> None:
    """Keeps it, half as heavy: what comes now counts more than what came long ago. Blocking."""
    if records is not None and wanted:
        records.write({str(shape): (times + 1) // 2 for shape, times in wanted.items()}, RECORD)
