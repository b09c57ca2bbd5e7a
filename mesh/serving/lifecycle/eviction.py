"""The way out of memory: parts that were told to go, that are idle, or that others need the room of."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from mesh.core.memory import return_memory
from mesh.serving import metrics
from mesh.serving.inference.compute import ComputePool
from mesh.serving.lifecycle.slot import Loaded, Slot, SlotState

log = structlog.get_logger()


class Eviction:
    """Unloads parts that nobody uses.

    Args:
        slots: all there are now.
        budget_bytes: most memory of all loaded parts; 0 for no limit.
        compute: the service's threads.
    """

    def __init__(self, slots: Callable[[], Iterable[Slot[Any]]], budget_bytes: int, compute: ComputePool) -> None:
        self._slots = slots
        self._budget = budget_bytes
        self._compute = compute
        self._unloading: set[asyncio.Task[None]] = set()

    async def settle(self) -> None:
        """Waits for the unloads under way."""
        if self._unloading:
            await asyncio.wait(set(self._unloading))

    def ask_to_leave(self, slot: Slot[Any]) -> None:
        """Unloads a part at once, or when its load and its last user are done."""
        slot.retiring = True
        self.released(slot)

    def released(self, slot: Slot[Any]) -> None:
        """A user of the part has left: unloads it when it was asked to leave and this was the last one."""
        if slot.retiring and not slot.users:
            self._unload(slot, "request")

    def unload_idle(self, limit: float) -> None:
        """Unloads the parts last used at `limit` or before; pinned ones stay."""
        for slot in self._slots():
            if not slot.users and slot.last_used <= limit and not slot.pinned:
                self._unload(slot, "idle")

    async def make_room(self, needed: int) -> None:
        """Unloads the least recently used parts until `needed` more bytes fit the budget; pinned ones go last."""
        await self._fit([slot for slot in self._slots() if slot.loaded], needed)

    async def keep_to_budget(self) -> None:
        """Unloads what is over the budget.

        The part used last stays, even when it fills the budget alone: else each call would load it again.
        """
        loaded = sorted((slot for slot in self._slots() if slot.loaded), key=lambda slot: slot.last_used)
        await self._fit(loaded[:-1], 0)

    async def _fit(self, candidates: list[Slot[Any]], needed: int) -> None:
        if not self._budget:
            return
        for slot in sorted(candidates, key=lambda slot: (slot.pinned, slot.last_used)):
            if self._used_bytes() + needed <= self._budget:
                return
            if not slot.users and (unloading := self._unload(slot, "budget")):
                await unloading

    def _used_bytes(self) -> int:
        return sum(slot.memory_bytes for slot in self._slots())

    def _unload(self, slot: Slot[Any], reason: str) -> "asyncio.Task[None] | None":
        """Takes the part out of its slot at once, so that nobody acquires it any more, and gives its memory back."""
        loaded, slot.loaded = slot.loaded, None
        if loaded is None:
            return None
        slot.state, slot.retiring = SlotState.CACHED, False
        task = asyncio.create_task(self._give_back(slot, loaded, reason))
        self._unloading.add(task)
        task.add_done_callback(self._unloading.discard)
        return task

    async def _give_back(self, slot: Slot[Any], loaded: Loaded[Any], reason: str) -> None:
        await loaded.engine.drain()
        await self._compute.run(loaded.engine.close)
        del loaded
        await self._compute.run(return_memory)
        metrics.show_memory(slot.model, slot.part, slot.memory_bytes)
        metrics.MODEL_EVICTIONS.labels(reason).inc()
        log.info("model unloaded", model=slot.model, part=slot.part, reason=reason)
