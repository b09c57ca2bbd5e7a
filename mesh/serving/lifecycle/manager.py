"""The models of one service: loaded on first use by one loader while others wait, unloaded when idle or when memory is
short, never while somebody uses them.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import structlog

from mesh.core import context
from mesh.core.errors import MeshError, ModelNotFoundError, ModelUnavailableError, UnavailableError
from mesh.core.settings import ServiceSettings
from mesh.hub import catalogue, layout
from mesh.hub.catalogue import Family
from mesh.hub.progress import DownloadProgress
from mesh.hub.store import ModelStore
from mesh.serving import metrics
from mesh.serving.inference.compute import ComputePool
from mesh.serving.lifecycle.loading import Loader
from mesh.serving.lifecycle.memory import return_memory
from mesh.serving.lifecycle.slot import Key, M, ModelStatus, Slot, State

log = structlog.get_logger()

FAILURE_MEMORY_SECONDS = 5.0
"""How long a failed load is reported to further requests without trying again, where the failure does not say it."""
PATIENCE_SECONDS = 20.0
"""How long a call waits for a model on its way before it is told how far it is; the router holds and asks again."""


@dataclass(frozen=True)
class LifecyclePolicy:
    """When models leave memory.

    Attributes:
        default: the model that answers when a request names none.
        ttl_seconds: idle time after which a part leaves; 0 for never.
        memory_budget_bytes: most memory of all loaded parts; 0 for no limit.
        pinned_parts: parts that stay when idle, such as CLIP's text encoder; the budget may still put them out last.
    """

    default: str
    ttl_seconds: float = 300.0
    memory_budget_bytes: int = 0
    pinned_parts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: ServiceSettings, pinned_parts: frozenset[str] = frozenset()) -> "LifecyclePolicy":
        """From a service's settings."""
        return cls(settings.model_name, settings.model_ttl_seconds, settings.memory_budget_bytes, pinned_parts)


class ModelManager(Generic[M]):
    """Loads, lends and unloads the parts of a family's models.

    Args:
        family: which of the cache's folders.
        store: finds and fetches the files.
        load: reads one part (name, part, the model's folder) into memory. Blocking.
        compute: the service's threads.
        policy: when models leave memory.
        clock: seconds, monotonic.
        pause: waits between attempts to load.
    """

    def __init__(
        self,
        family: Family,
        store: ModelStore,
        load: Callable[[str, str, Path], M],
        compute: ComputePool,
        policy: LifecyclePolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.family = family
        self.policy = policy
        self._store = store
        self._compute = compute
        self._clock = clock
        self._loader = Loader(family, store, load, self._note_progress, pause)
        self._slots: dict[Key, Slot[M]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._unloading: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(self, name: str, part: str) -> AsyncIterator[M]:
        """Lends one part, loading it (and downloading it) first when needed; it stays while it is lent.

        Args:
            name: the model's; empty for the default.
            part: one of the family's parts.

        Raises:
            ModelNotFoundError: no such model, or not cached while offline.
            UnavailableError: still on its way (says how far), or its load failed (says why).
            InvalidInputError: a name that could not be a model's.
        """
        slot = self._slot(self._key(self.resolve(name), part))
        slot.users += 1  # from here on, so that nothing puts the part out between its load and its first use
        try:
            yield await self._loaded(slot)
        finally:
            slot.last_used, slot.last_used_at = self._clock(), time.time()
            self._release(slot)

    def resolve(self, name: str) -> str:
        """The model's own name: the default for an empty one, the catalogue's spelling of an alias."""
        name = layout.check_name(name) if name else self.policy.default
        entry = catalogue.find(self.family, name)
        return entry.name if entry else name

    async def load(self, name: str) -> None:
        """Loads every part of a model. Raises as `use`."""
        name = self.resolve(name)
        for part in self.family.parts:
            slot = self._slot(self._key(name, part))
            slot.retiring = False
            slot.users += 1
            try:
                await self._loaded(slot, patience=None)
            finally:
                self._release(slot)

    async def unload(self, name: str = "") -> None:
        """Takes a model, or all for an empty name, out of memory: at once, or when its load and last user are done."""
        wanted = self.resolve(name) if name else None
        for slot in list(self._slots.values()):
            if (slot.model or slot.loading) and wanted in (None, slot.key.name):
                slot.retiring = True
                self._retire(slot)
        if self._unloading:
            await asyncio.wait(set(self._unloading))

    async def sweep(self) -> None:
        """Unloads what has been idle for longer than its time, and what is over the budget now that its users are done.

        Called every few seconds by the server.
        """
        limit = self._clock() - self.policy.ttl_seconds if self.policy.ttl_seconds else float("-inf")
        for slot in list(self._slots.values()):
            if not slot.users and slot.last_used <= limit and slot.key.part not in self.policy.pinned_parts:
                self._start_unloading(slot, "idle")
        if not self._one_at_a_time.locked():  # whoever holds it makes room
            async with self._one_at_a_time:
                loaded = [slot for slot in self._slots.values() if slot.model]
                # A part that fills the budget alone stays all the same: else each call would load it again.
                await self._make_room(0, keep=max(loaded, key=lambda slot: slot.last_used, default=None))
        if self._unloading:
            await asyncio.wait(set(self._unloading))

    def stop_fetching(self) -> None:
        """Ends downloads and conversions under way; what is there is kept and a later process goes on from it."""
        self._loader.stop_fetching()

    async def close(self) -> None:
        """Unloads everything; nothing may be in use."""
        self._loader.cancel()
        for slot in self._slots.values():
            if slot.loading:
                slot.loading.cancel()
        await self.unload()

    async def statuses(self) -> list[ModelStatus]:
        """Every part that is cached, loaded, on its way or failed, sorted by name and part."""
        on_disk = await asyncio.to_thread(self._on_disk)
        names = {*on_disk, self.resolve(""), *(key.name for key in self._slots)} - {""}
        keys = sorted({self._key(name, part) for name in names for part in self.family.parts})
        return [self._status(key, on_disk.get(key.name)) for key in keys]

    def _on_disk(self) -> dict[str, dict[str, int]]:
        """The graphs' sizes in bytes, by model and part."""
        family = self.family
        try:
            cached = self._store.cached(family)
        except OSError as error:
            log.warning("the model cache cannot be read", reason=str(error))
            return {}
        return {
            model.name: {part: _graph_size(family, model.folder, part) for part in family.parts} for model in cached
        }

    def _status(self, key: Key, sizes: Mapping[str, int] | None) -> ModelStatus:
        slot = self._slots.get(key) or Slot(key)
        state = slot.state
        if state is State.ABSENT and sizes is not None:
            state = State.CACHED
        entry = catalogue.find(self.family, key.name)
        return ModelStatus(
            name=key.name,
            part=key.part,
            state=state,
            size_bytes=sizes[key.part] if sizes else 0,
            memory_bytes=slot.model.memory_bytes if slot.model else 0,
            dimension=slot.model.dimension if slot.model else (entry.dimension or 0 if entry else 0),
            provider=slot.model.provider if slot.model else "",
            last_used_at=slot.last_used_at,
            in_use=slot.users,
            pinned=key.part in self.policy.pinned_parts,
            download_progress=slot.progress.fraction if slot.progress else 0.0,
            error=slot.error.message if slot.error else "",
        )

    def _key(self, name: str, part: str) -> Key:
        """Which slot a part of a model is in: OCR models of one language share a detector."""
        return Key(catalogue.holder(self.family, name, part), part)

    def _is_known(self, name: str) -> bool:
        return name == self.policy.default or catalogue.find(self.family, name) is not None

    def _slot(self, key: Key) -> Slot[M]:
        return self._slots.setdefault(key, Slot(key))

    async def _loaded(self, slot: Slot[M], patience: float | None = PATIENCE_SECONDS) -> M:
        """The part in memory, from its one load; waits for it no longer than `patience` and the deadline allow."""
        if slot.model is not None:
            return slot.model
        if slot.error is not None and (wait := self._seconds_until_retry(slot, slot.error)) > 0:
            raise _told(slot.error, wait)
        if slot.loading is None:
            slot.loading = asyncio.create_task(self._bring_in(slot), name=f"load {slot.key.name}/{slot.key.part}")
            slot.loading.add_done_callback(_consume)
        left = context.remaining_seconds()
        limits = [limit for limit in (patience, None if left is None else left * 0.9) if limit is not None]
        try:
            return await asyncio.wait_for(asyncio.shield(slot.loading), min(limits, default=None))
        except TimeoutError:
            raise UnavailableError(self._on_its_way(slot)) from None

    def _seconds_until_retry(self, slot: Slot[M], error: MeshError) -> float:
        wait = error.retry_after_seconds if isinstance(error, ModelUnavailableError) else FAILURE_MEMORY_SECONDS
        return slot.failed_at + wait - self._clock()

    def _on_its_way(self, slot: Slot[M]) -> str:
        if (progress := slot.progress) is not None:
            size = f"{progress.done_bytes / 1e6:.0f} of {progress.total_bytes / 1e6:.0f} MB"
            return f"model {slot.key.name} is {progress.stage.value}: {progress.fraction:.0%}, {size}; try again later"
        return f"model {slot.key.name} ({slot.key.part}) is loading; try again in a moment"

    async def _bring_in(self, slot: Slot[M]) -> M:
        """Waits for unloads under way, fetches the files, makes room, reads the part."""
        context.deadline.set(None)  # the load belongs to all who wait for it, not to the request that began it
        try:
            if self._unloading:
                await asyncio.wait(set(self._unloading))
            folder = await self._loader.fetch(slot.key.name)
            async with self._one_at_a_time:
                slot.state, slot.progress = State.LOADING, None
                await self._make_room(await asyncio.to_thread(_graph_size, self.family, folder, slot.key.part))
                model = await self._loader.read(slot.key, folder)
                await self._make_room(model.memory_bytes)
        except MeshError as error:
            if isinstance(error, ModelNotFoundError) and not self._is_known(slot.key.name):
                # Callers may name what they like: nothing is kept or shown of a name that stands for no model.
                self._slots.pop(slot.key, None)
                raise
            slot.state, slot.error, slot.failed_at = State.FAILED, _fresh(error), self._clock()
            metrics.MODEL_LOAD_FAILURES.labels(slot.key.name, slot.key.part).inc()
            left = self._seconds_until_retry(slot, error)
            log.error(
                "model failed to load",
                model=slot.key.name,
                part=slot.key.part,
                reason=error.message,
                retry_seconds=round(left),
            )
            raise _told(error, left) from error
        finally:
            slot.loading = None
            slot.progress = None
        slot.model, slot.state, slot.error = model, State.LOADED, None
        slot.last_used = self._clock()
        _show(slot.key, model.memory_bytes)
        return model

    def _release(self, slot: Slot[M]) -> None:
        slot.users -= 1
        self._retire(slot)

    def _retire(self, slot: Slot[M]) -> None:
        if slot.retiring and not slot.users:
            self._start_unloading(slot, "request")

    def _note_progress(self, name: str, progress: DownloadProgress) -> None:
        for slot in self._slots.values():
            if slot.key.name == name and slot.loading is not None:
                slot.state, slot.progress = State.DOWNLOADING, progress

    async def _make_room(self, needed: int, keep: Slot[M] | None = None) -> None:
        """Puts the least recently used parts out until `needed` more bytes fit the budget; pinned ones go last."""
        budget = self.policy.memory_budget_bytes
        if not budget:
            return
        idle = [slot for slot in self._slots.values() if slot.model and slot is not keep]
        idle.sort(key=lambda slot: (slot.key.part in self.policy.pinned_parts, slot.last_used))
        for slot in idle:
            if self._used_bytes() + needed <= budget:
                return
            if not slot.users and (unloading := self._start_unloading(slot, "budget")):
                await unloading

    def _used_bytes(self) -> int:
        return sum(slot.model.memory_bytes for slot in self._slots.values() if slot.model)

    def _start_unloading(self, slot: Slot[M], reason: str) -> "asyncio.Task[None] | None":
        """Takes the part out of its slot at once, so that nobody is lent it any more, and gives its memory back."""
        model, slot.model = slot.model, None
        if model is None:
            return None
        slot.state, slot.retiring = State.CACHED, False
        task = asyncio.create_task(self._give_back(slot.key, model, reason))
        self._unloading.add(task)
        task.add_done_callback(self._unloading.discard)
        return task

    async def _give_back(self, key: Key, model: M, reason: str) -> None:
        await model.drain()
        await self._compute.run(model.close)
        del model
        await self._compute.run(return_memory)
        _show(key, 0)
        metrics.MODEL_EVICTIONS.labels(reason).inc()
        log.info("model unloaded", model=key.name, part=key.part, reason=reason)


def _show(key: Key, memory_bytes: int) -> None:
    metrics.MODEL_LOADED.labels(key.name, key.part).set(int(memory_bytes > 0))
    metrics.MODEL_MEMORY_BYTES.labels(key.name, key.part).set(memory_bytes)


def _graph_size(family: Family, folder: Path, part: str) -> int:
    """Size of a part's graph and the data beside it, in bytes; 0 for what cannot be looked at."""
    try:
        file = layout.part_file(family, folder, part)
        return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*")) if file else 0
    except OSError:
        return 0


def _fresh(error: MeshError) -> MeshError:
    """The same error without a traceback: that would keep alive every frame it went through, with its photo."""
    if isinstance(error, ModelUnavailableError):
        return ModelUnavailableError(error.message, error.retry_after_seconds)
    return type(error)(error.message)


def _told(error: MeshError, left: float) -> MeshError:
    """The same error for a caller, who hears when the model is tried next."""
    if isinstance(error, ModelUnavailableError):
        return ModelUnavailableError(f"{error.message}; it is tried again in {max(1, math.ceil(left))} s", left)
    return _fresh(error)


def _consume(task: "asyncio.Task[object]") -> None:
    """Marks a failed load's exception as seen: every waiter has got it, or nobody waits any more."""
    if not task.cancelled():
        task.exception()
