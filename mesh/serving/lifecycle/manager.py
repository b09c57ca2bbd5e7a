"""The models of one service: loaded on first use by one loader while others wait, unloaded when idle or when memory is
short, never while somebody uses them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from mesh.core import context
from mesh.core.errors import MeshError, ModelNotFoundError, UnavailableError
from mesh.core.memory import trim_heap
from mesh.core.stages import LOAD, stage
from mesh.hub import catalogue, layout
from mesh.hub.catalogue import Family
from mesh.hub.fetch.progress import DownloadProgress
from mesh.hub.store import ModelStore
from mesh.serving import metrics
from mesh.serving.inference.compute import ComputePool
from mesh.serving.lifecycle.eviction import Eviction
from mesh.serving.lifecycle.failure import Failure
from mesh.serving.lifecycle.loading import Loader
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.lifecycle.slot import Loaded, M, Slot, SlotState
from mesh.serving.lifecycle.statuses import ModelStatus, statuses

log = structlog.get_logger()

PATIENCE_SECONDS = 20.0
"""How long a call waits for a model on its way before it is told how far it is; the router holds and asks again."""


class ModelManager:
    """Loads, hands out and unloads the parts of a family's models.

    Args:
        family: which of the cache's folders.
        store: finds and fetches the files.
        parts: the family's, in its order, and how each is read.
        compute: the service's threads.
        policy: when models leave memory.
        clock: seconds, monotonic.
        pause: waits between attempts to load.
    """

    def __init__(
        self,
        family: Family,
        store: ModelStore,
        parts: Sequence[ModelPart[Any]],
        compute: ComputePool,
        policy: LifecyclePolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.family = family
        self.policy = policy
        self._store = store
        self._parts = parts
        self._clock = clock
        self._loader = Loader(family, store, self._note_progress, pause)
        self._eviction = Eviction(lambda: list(self._slots()), policy.memory_budget_bytes, compute)
        self._one_at_a_time = asyncio.Lock()
        self._stopping = False
        self._hub_was_changed = False

    @asynccontextmanager
    async def acquire(self, part: ModelPart[M], name: str) -> AsyncIterator[M]:
        """One part, loading it (and downloading it) first when needed; it stays while it is lent.

        Args:
            part: one of the manager's.
            name: the model's; empty for the default.

        Raises:
            ModelNotFoundError: no such model, or not cached while offline.
            UnavailableError: still on its way (says how far), or its load failed (says why).
            InvalidInputError: a name that could not be a model's.
        """
        slot = self._slot(part, self.resolve(name))
        slot.users += 1  # from here on, so that nothing puts the part out between its load and its first use
        try:
            with stage(LOAD):
                loaded = await self._loaded(part, slot)
            yield loaded.value
        finally:
            slot.last_used, slot.last_used_at = self._clock(), time.time()
            self._release(slot)

    def resolve(self, name: str) -> str:
        """The model's own name: the default for an empty one, the catalogue's spelling of an alias."""
        name = layout.check_name(name) if name else self.policy.default
        entry = catalogue.find(self.family, name)
        return entry.name if entry else name

    async def load(self, name: str) -> None:
        """Loads every part of a model. Raises as `acquire`."""
        name = self.resolve(name)
        for part in self._parts:
            slot = self._slot(part, name)
            slot.retiring = False
            slot.users += 1
            try:
                await self._loaded(part, slot, patience=None)
            finally:
                self._release(slot)

    def use_hub(self, endpoint: str) -> None:
        """Downloads come from this mirror of the hub from now on; what failed before may be tried at once.

        Raises InvalidInputError.
        """
        self._store.use_hub(endpoint)
        self._hub_was_changed = True
        for slot in self._slots():
            slot.failure = None
        log.info("models are downloaded from another hub until this service stops", hub=endpoint)

    async def unload(self, name: str = "") -> None:
        """Takes a model, or all for an empty name, out of memory: at once, or when its load and last user are done."""
        wanted = self.resolve(name) if name else None
        for slot in list(self._slots()):
            if (slot.loaded or slot.loading) and wanted in (None, slot.model):
                self._eviction.ask_to_leave(slot)
        await self._eviction.settle()

    async def sweep(self) -> None:
        """Unloads what has been idle for longer than its time, and what is over the budget now that its users are done;
        of what stays, gives back the memory that pausing runs work in, and finds out how it runs best.

        Called every few seconds by the server.
        """
        if self.policy.ttl_seconds:
            self._eviction.unload_idle(self._clock() - self.policy.ttl_seconds)
        if not self._one_at_a_time.locked():  # whoever holds it makes room
            async with self._one_at_a_time:
                await self._eviction.keep_to_budget()
        await self._eviction.settle()
        for slot in list(self._slots()):
            if slot.loaded is not None:
                slot.users += 1  # so that nothing unloads it meanwhile
                try:
                    await asyncio.to_thread(_release_idle, slot.loaded)
                    await slot.loaded.engine.calibrate()
                    metrics.show_memory(slot.model, slot.part, slot.memory_bytes)
                finally:
                    self._release(slot)

    def holds_nothing(self) -> bool:
        """Whether no model is in memory, on its way or asked for, and nothing was told that lasts until the end."""
        idle = not any(slot.loaded or slot.loading or slot.users for slot in self._slots())
        return idle and not self._hub_was_changed

    def stop_fetching(self) -> None:
        """Ends downloads and conversions under way; what is there is kept and a later process goes on from it."""
        self._stopping = True
        self._loader.stop_fetching()

    async def close(self) -> None:
        """Unloads everything; nothing may be in use."""
        self._loader.cancel()
        for slot in self._slots():
            if slot.loading:
                slot.loading.cancel()
        await self.unload()

    async def statuses(self) -> list[ModelStatus]:
        """Every part that is cached, loaded, on its way or failed, sorted by name and part."""
        return await statuses(self.family, self._store, self._parts, self.resolve(""))

    def _slots(self) -> Iterator[Slot[Any]]:
        return (slot for part in self._parts for slot in part.slots.values())

    def _slot(self, part: ModelPart[M], name: str) -> Slot[M]:
        """Which slot a part of a model is in: OCR models of one language share a detector."""
        return part.slot(catalogue.holder(self.family, name, part.name))

    def _is_known(self, name: str) -> bool:
        return name == self.policy.default or catalogue.find(self.family, name) is not None

    async def _loaded(self, part: ModelPart[M], slot: Slot[M], patience: float | None = PATIENCE_SECONDS) -> Loaded[M]:
        """The part in memory, from its one load; waits for it no longer than `patience` and the deadline allow."""
        if slot.loaded is not None:
            return slot.loaded
        if slot.failure is not None and slot.failure.due > (now := self._clock()):
            raise slot.failure.to_error(now)
        if slot.loading is None:
            slot.loading = asyncio.create_task(self._bring_in(part, slot), name=f"load {slot.model}/{slot.part}")
            slot.loading.add_done_callback(_consume)
        left = context.remaining_seconds()
        limits = [limit for limit in (patience, None if left is None else left * 0.9) if limit is not None]
        try:
            return await asyncio.wait_for(asyncio.shield(slot.loading), min(limits, default=None))
        except TimeoutError:
            raise UnavailableError(_on_its_way(slot)) from None

    async def _bring_in(self, part: ModelPart[M], slot: Slot[M]) -> Loaded[M]:
        """Waits for unloads under way, fetches the files, makes room, reads the part."""
        context.deadline.set(None)  # the load belongs to all who wait for it, not to the request that began it
        try:
            await self._eviction.settle()
            files = PartFiles(self.family, slot.model, slot.part, await self._loader.fetch(slot.model))
            async with self._one_at_a_time:
                slot.state, slot.progress = SlotState.LOADING, None
                await self._eviction.make_room(await asyncio.to_thread(files.size_bytes))
                loaded = await self._loader.read(part, files)
                await self._eviction.make_room(loaded.engine.memory_bytes)
        except MeshError as error:
            if isinstance(error, ModelNotFoundError) and not self._is_known(slot.model):
                # Callers may name what they like: nothing is kept or shown of a name that stands for no model.
                part.slots.pop(slot.model, None)
                raise
            raise self._failed(slot, error) from error
        finally:
            slot.loading = None
            slot.progress = None
        slot.loaded, slot.state, slot.failure = loaded, SlotState.LOADED, None
        slot.last_used = self._clock()
        loaded.engine.start()
        metrics.show_memory(slot.model, slot.part, slot.memory_bytes)
        return loaded

    def _failed(self, slot: Slot[Any], error: MeshError) -> MeshError:
        """Notes why a load failed, and gives the error for those who wait."""
        now = self._clock()
        slot.state, slot.failure = SlotState.FAILED, Failure.of(error, now)
        metrics.MODEL_LOAD_FAILURES.labels(slot.model, slot.part).inc()
        if self._stopping:  # as it was asked to
            log.info("model load stopped", model=slot.model, part=slot.part, reason=error.message)
            return slot.failure.to_error(now)
        log.error(
            "model failed to load",
            model=slot.model,
            part=slot.part,
            reason=error.message,
            retry_seconds=round(slot.failure.due - now),
        )
        return slot.failure.to_error(now)

    def _release(self, slot: Slot[Any]) -> None:
        slot.users -= 1
        self._eviction.released(slot)

    def _note_progress(self, name: str, progress: DownloadProgress) -> None:
        for slot in self._slots():
            if slot.model == name and slot.loading is not None:
                slot.state, slot.progress = SlotState.DOWNLOADING, progress


def _release_idle(loaded: Loaded[Any]) -> None:
    if loaded.engine.release_idle():
        trim_heap()


def _on_its_way(slot: Slot[Any]) -> str:
    if (progress := slot.progress) is not None:
        size = f"{progress.done_bytes / 1e6:.0f} of {progress.total_bytes / 1e6:.0f} MB"
        return f"model {slot.model} is {progress.stage.value}: {progress.fraction:.0%}, {size}; try again later"
    return f"model {slot.model} ({slot.part}) is loading; try again in a moment"


def _consume(task: "asyncio.Task[Any]") -> None:
    """Marks a failed load's exception as seen: every waiter has got it, or nobody waits any more."""
    if not task.cancelled():
        task.exception()
