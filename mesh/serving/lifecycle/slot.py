"""One separately loaded part of a model: its state, its users, and its way into memory and out of it."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar

from mesh.core.errors import MeshError
from mesh.hub.progress import DownloadProgress


class LoadedModel(Protocol):
    """What a service's loader returns: a part of a model in memory."""

    @property
    def memory_bytes(self) -> int:
        """Memory it holds."""

    @property
    def provider(self) -> str:
        """Execution provider of its session."""

    @property
    def dimension(self) -> int:
        """Length of its embeddings; 0 without."""

    async def drain(self) -> None:
        """Refuses new work and returns when the work under way is done."""

    def close(self) -> None:
        """Gives the memory back. Blocking."""


M = TypeVar("M", bound=LoadedModel)


class State(Enum):
    """How far a part is from answering, as `ModelState` of the contract."""

    ABSENT = 1
    DOWNLOADING = 2
    CACHED = 3
    LOADING = 4
    LOADED = 5
    FAILED = 6


@dataclass(frozen=True, order=True)
class Key:
    """Which part of which model."""

    name: str
    part: str


@dataclass
class Slot(Generic[M]):
    """The life of one part.

    Attributes:
        loading: the one load under way; everyone who needs the part waits for it.
        model: the part while it is in memory.
        users: calls that use it now, or wait for it.
        last_used: the manager's clock at the end of the last use.
        last_used_at: the same moment in seconds since the epoch; None before the first.
        retiring: leaves memory when its last user is done.
    """

    key: Key
    state: State = State.ABSENT
    loading: "asyncio.Task[M] | None" = None
    model: M | None = None
    users: int = 0
    last_used: float = 0.0
    last_used_at: float | None = None
    retiring: bool = False
    progress: DownloadProgress | None = None
    failed_at: float = field(default=float("-inf"))
    error: MeshError | None = None


@dataclass(frozen=True)
class ModelStatus:
    """A part as shown to people; fields as in `immich_mesh.model.v1.Model`."""

    name: str
    part: str
    state: State
    size_bytes: int = 0
    memory_bytes: int = 0
    dimension: int = 0
    provider: str = ""
    last_used_at: float | None = None
    in_use: int = 0
    pinned: bool = False
    download_progress: float = 0.0
    error: str = ""
