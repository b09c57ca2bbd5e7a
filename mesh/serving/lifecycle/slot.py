"""One part of one model: on disk, on its way into memory, in use by calls, on its way out."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from mesh.hub.fetch.progress import DownloadProgress
from mesh.serving.lifecycle.failure import Failure

M = TypeVar("M")
"""What a service makes of a part: a detector, an encoder."""


class LoadedEngine(Protocol):
    """What the lifecycle asks of `mesh.serving.inference.engine.Engine`."""

    provider: str
    reason: str

    @property
    def memory_bytes(self) -> int:
        """What its weights take now."""

    def start(self) -> None:
        """What goes on in its background begins, on the running loop."""

    async def drain(self) -> None:
        """Refuses new work and returns when the work under way is done."""

    async def calibrate(self) -> None:
        """Finds out how its graph runs best where that is not known, unless somebody waits for anything."""

    def release_idle(self) -> bool:
        """Gives back what its runs work in when they pause; returns whether there was any. Blocking."""

    def close(self) -> None:
        """Gives the memory back. Blocking."""


@dataclass(frozen=True)
class Loaded(Generic[M]):
    """A part in memory.

    Attributes:
        value: what calls use.
        engine: runs its graph.
        dimension: length of the embeddings that it gives; 0 when it gives none.
    """

    value: M
    engine: LoadedEngine
    dimension: int = 0

    @property
    def provider(self) -> str:
        """What runs the graph, and why that where there was a choice."""
        engine = self.engine
        return f"{engine.provider} ({engine.reason})" if engine.reason else engine.provider


class SlotState(Enum):
    """How far a part is from answering, as `ModelState` of the contract."""

    ABSENT = 1
    DOWNLOADING = 2
    CACHED = 3
    LOADING = 4
    LOADED = 5
    FAILED = 6


@dataclass
class Slot(Generic[M]):
    """The life of one part of one model.

    Attributes:
        model: name of the model whose folder holds it.
        part: which of the family's parts.
        pinned: stays when idle; the budget puts it out last.
        loading: the one load under way; everyone who needs the part waits for it.
        loaded: the part while it is in memory.
        users: calls that use it now, or wait for it.
        last_used: the manager's clock at the end of the last use.
        last_used_at: the same moment in seconds since the epoch; None before the first.
        retiring: leaves memory when its last user is done.
        failure: why the last load failed; None after one that did not.
    """

    model: str
    part: str
    pinned: bool = False
    state: SlotState = SlotState.ABSENT
    loading: "asyncio.Task[Loaded[M]] | None" = None
    loaded: Loaded[M] | None = None
    users: int = 0
    last_used: float = 0.0
    last_used_at: float | None = None
    retiring: bool = False
    progress: DownloadProgress | None = None
    failure: Failure | None = None

    @property
    def memory_bytes(self) -> int:
        """Memory that it holds now."""
        return self.loaded.engine.memory_bytes if self.loaded else 0
