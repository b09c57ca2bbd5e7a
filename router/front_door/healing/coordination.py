"""What several routers must agree on: who heals, who is the last to stop, and which queues were paused for a stop.

In Immich's database where there is one (`postgres_coordination`), else in files of one machine, else not at all: then
every router heals (Immich refuses what is under way already) and none pauses, since nobody could know what to resume.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from router.front_door.healing.queues import Queue


class Coordination(Protocol):
    """Every call may raise UnavailableError; it is made again at the next check."""

    async def join(self) -> bool:
        """Says that this router is there, again and again; False while another one pauses for its stop."""

    async def lead(self) -> bool:
        """Whether this router heals, and no other until `yield_lead`."""

    async def yield_lead(self) -> None:
        """Lets another router heal."""

    async def leave(self) -> bool:
        """Says that this router stops; whether it is the last one and may pause."""

    async def noted(self) -> frozenset[Queue]:
        """The queues that were paused for a stop."""

    async def note(self, queues: Iterable[Queue]) -> None:
        """Notes that these are to be resumed."""

    async def forget(self, queues: Iterable[Queue]) -> None:
        """Notes that these were resumed."""

    async def close(self) -> None:
        """Lets go of everything."""


class NoCoordination:
    """Nothing is shared and nothing survives a stop."""

    async def join(self) -> bool:
        """Nobody to tell."""
        return True

    async def lead(self) -> bool:
        """Nobody to ask."""
        return True

    async def yield_lead(self) -> None:
        """Nobody to yield to."""

    async def leave(self) -> bool:
        """Never the last one, as far as anyone could know."""
        return False

    async def noted(self) -> frozenset[Queue]:
        """Nothing can be noted."""
        return frozenset()

    async def note(self, queues: Iterable[Queue]) -> None:
        """Nothing can be noted."""

    async def forget(self, queues: Iterable[Queue]) -> None:
        """Nothing can be noted."""

    async def close(self) -> None:
        """Nothing is held."""


class FileCoordination:
    """Locks and a note in a folder that all routers of one machine share. A lock ends with its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._presence: int | None = None
        self._lead: int | None = None

    async def join(self) -> bool:
        """Holds a shared lock."""
        if self._presence is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            presence = self._open("present.lock")
            if not _locked(presence, fcntl.LOCK_SH):
                os.close(presence)
                return False
            self._presence = presence
        return True

    async def lead(self) -> bool:
        """Holds the one lock of those who heal."""
        if self._lead is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            lead = self._open("lead.lock")
            if not _locked(lead, fcntl.LOCK_EX):
                os.close(lead)
                return False
            self._lead = lead
        return True

    async def yield_lead(self) -> None:
        """Lets the lock go."""
        if self._lead is not None:
            os.close(self._lead)
            self._lead = None

    async def leave(self) -> bool:
        """Alone with the lock: nobody else holds it."""
        if self._presence is None:
            return False
        fcntl.flock(self._presence, fcntl.LOCK_UN)
        return _locked(self._presence, fcntl.LOCK_EX)

    async def noted(self) -> frozenset[Queue]:
        """What the note says."""
        return await asyncio.to_thread(self._read)

    async def note(self, queues: Iterable[Queue]) -> None:
        """Adds to the note."""
        await asyncio.to_thread(self._write, self._read() | frozenset(queues))

    async def forget(self, queues: Iterable[Queue]) -> None:
        """Takes off the note."""
        await asyncio.to_thread(self._write, self._read() - frozenset(queues))

    async def close(self) -> None:
        """Lets both locks go."""
        await self.yield_lead()
        if self._presence is not None:
            os.close(self._presence)
            self._presence = None

    @property
    def _note(self) -> Path:
        return self._folder / "paused-queues.json"

    def _open(self, name: str) -> int:
        return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _read(self) -> frozenset[Queue]:
        try:
            stored = json.loads(self._note.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return frozenset()
        known = {str(queue) for queue in Queue}
        return frozenset(Queue(name) for name in stored if name in known) if isinstance(stored, list) else frozenset()

    def _write(self, queues: frozenset[Queue]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._note.with_suffix(".new")
        new.write_text(json.dumps(sorted(queues)), "utf-8")
        new.replace(self._note)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
