"""Immich's job queues, through its own API: `/api/jobs` in Immich 2, `/api/queues` from 3 on.

Starting a queue with `force: false` makes Immich queue what it knows to be missing; that call is `/api/jobs` in both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field, TypeAdapter

from router.front_door.immich.api import ImmichApi, Version
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.rights import demand
from router.front_door.immich.schemas import ImmichAnswer

QUEUES_API: Version = (3, 0, 0)
"""The first Immich in which pausing belongs to `/api/queues`."""


class Queue(StrEnum):
    """The queues whose jobs ask a machine-learning server, in the order in which they are healed."""

    OCR = "ocr"
    SMART_SEARCH = "smartSearch"
    FACES = "faceDetection"


@dataclass(frozen=True)
class QueueState:
    """A queue of Immich's: whether it is paused, and how many jobs are under way, wait, or come later."""

    paused: bool
    jobs: int


@dataclass(frozen=True)
class JobQueue:
    """Any queue of Immich's, as its own page of queues shows it: jobs under way, and jobs that are still to come."""

    name: str
    paused: bool
    active: int
    waiting: int


class _Counts(ImmichAnswer):
    active: int = Field(0, ge=0)
    waiting: int = Field(0, ge=0)
    delayed: int = Field(0, ge=0)
    paused: int = Field(0, ge=0)

    @property
    def coming(self) -> int:
        return self.waiting + self.delayed + self.paused


class _LegacyStatus(ImmichAnswer):
    is_paused: bool = Field(alias="isPaused")


class _LegacyQueue(ImmichAnswer):
    counts: _Counts = Field(alias="jobCounts")
    status: _LegacyStatus = Field(alias="queueStatus")


class _Queue(ImmichAnswer):
    name: str
    is_paused: bool = Field(alias="isPaused")
    statistics: _Counts


_LEGACY: TypeAdapter[dict[str, _LegacyQueue]] = TypeAdapter(dict[str, _LegacyQueue])
_QUEUES: TypeAdapter[tuple[_Queue, ...]] = TypeAdapter(tuple[_Queue, ...])


def _job_queue(name: str, paused: bool, counts: _Counts) -> JobQueue:
    return JobQueue(name, paused, counts.active, counts.coming)


class ImmichQueues:
    """Immich's queues, with an administrator's key. Every call raises as `rights.demand`, and ImmichAwayError."""

    def __init__(self, api: ImmichApi, api_key: str) -> None:
        self._api = api
        self._credentials = Credentials({"x-api-key": api_key}, {}, by_key=True, present=True)

    async def states(self) -> Mapping[Queue, QueueState]:
        """The three queues, those of them that this Immich has."""
        states = {queue.name: QueueState(queue.paused, queue.active + queue.waiting) for queue in await self.every()}
        return {queue: states[queue] for queue in Queue if queue in states}

    async def every(self) -> Sequence[JobQueue]:
        """All queues of this Immich, in its own order."""
        if await self._modern():
            reply = await self._api.ask("GET", "/api/queues", self._credentials)
            demand(reply)
            return [_job_queue(one.name, one.is_paused, one.statistics) for one in reply.read(_QUEUES)]
        reply = await self._api.ask("GET", "/api/jobs", self._credentials)
        demand(reply)
        legacy = reply.read(_LEGACY)
        return [_job_queue(name, one.status.is_paused, one.counts) for name, one in legacy.items()]

    async def pause(self, queue: str) -> None:
        """Jobs wait from now on; those under way are finished."""
        await self._set(queue, paused=True)

    async def resume(self, queue: str) -> None:
        """Jobs are worked on again."""
        await self._set(queue, paused=False)

    async def start_missing(self, queue: Queue) -> bool:
        """Makes Immich queue what it knows to be missing; False when the queue has just begun to work by itself."""
        body = {"command": "start", "force": False}
        reply = await self._api.ask("PUT", f"/api/jobs/{queue}", self._credentials, body=body)
        if reply.status == 400:
            return False
        demand(reply)
        return True

    async def _set(self, queue: str, *, paused: bool) -> None:
        if await self._modern():
            body: dict[str, object] = {"isPaused": paused}
            demand(await self._api.ask("PUT", f"/api/queues/{queue}", self._credentials, body=body))
        else:
            body = {"command": "pause" if paused else "resume"}
            demand(await self._api.ask("PUT", f"/api/jobs/{queue}", self._credentials, body=body))

    async def _modern(self) -> bool:
        return await self._api.version() >= QUEUES_API
