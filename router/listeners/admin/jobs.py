"""The admin API's calls about jobs: Immich's own queues, seen and steered with the key that self-healing has."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from mesh.core.errors import InvalidInputError, MeshError, UnauthenticatedError
from router.config import AdminListener
from router.front_door.healing.queues import ImmichQueues, JobQueue, Queue
from router.front_door.healing.service import Healing
from router.front_door.immich.rights import RefusedByImmichError
from router.listeners.admin.messages import admin_json, read_order

log = structlog.get_logger()

NO_KEY = "Immich's queues are not known without an administrator's API key: set IMMICH_URL and ROUTER_HEALING__API_KEY"


class QueueOrder(BaseModel):
    """The body, or query, of `POST /jobs/pause`, `/jobs/resume` and `/jobs/start`."""

    model_config = ConfigDict(extra="forbid")
    queue: str


class JobCalls:
    """The handlers."""

    def __init__(self, healing: Healing, settings: AdminListener) -> None:
        self._healing = healing
        self._settings = settings

    async def listed(self, _: web.Request) -> web.Response:
        """Immich's queues; `problem` says why they are not known, null when they are."""
        if self._healing.queues is None:
            return admin_json({"queues": [], "problem": NO_KEY})
        try:
            queues = await self._healing.queues.every()
        except (MeshError, RefusedByImmichError) as error:
            return admin_json({"queues": [], "problem": _problem(error)})
        return admin_json({"queues": [_view(queue) for queue in queues], "problem": None})

    async def pause(self, request: web.Request) -> web.Response:
        """Jobs of a queue wait from now on. Raises MeshError."""
        return await self._carry_out(request, ImmichQueues.pause)

    async def resume(self, request: web.Request) -> web.Response:
        """They are worked on again. Raises MeshError."""
        return await self._carry_out(request, ImmichQueues.resume)

    async def start(self, request: web.Request) -> web.Response:
        """Immich queues what is missing, by which dropped jobs are tried again. Raises MeshError."""
        return await self._carry_out(request, _start)

    async def _carry_out(
        self, request: web.Request, act: Callable[[ImmichQueues, str], Awaitable[None]]
    ) -> web.Response:
        name = (await read_order(request, QueueOrder, self._settings)).queue
        queues = self._healing.queues
        if queues is None:
            raise UnauthenticatedError(NO_KEY)
        try:
            known = {queue.name for queue in await queues.every()}
            if name not in known:  # it becomes a part of an address
                raise InvalidInputError(f"Immich has no queue {name!r}; it has {', '.join(sorted(known))}")
            await act(queues, name)
        except RefusedByImmichError as refusal:
            raise UnauthenticatedError(_problem(refusal)) from refusal
        log.info("job order", order=request.path, queue=name)
        return await self.listed(request)


async def _start(queues: ImmichQueues, name: str) -> None:
    if name not in set(Queue):
        raise InvalidInputError(f"only {', '.join(Queue)} ask this mesh")
    if not await queues.start_missing(Queue(name)):
        raise InvalidInputError(f"{name} works already; what is missing can be queued once it is idle")


def _problem(error: MeshError | RefusedByImmichError) -> str:
    if isinstance(error, MeshError):
        return error.message
    return (
        f"Immich refuses the API key ({error}): it must be an administrator's, with job.read, job.create, and for "
        "Immich 3 queue.read and queue.update"
    )


def _view(queue: JobQueue) -> dict[str, Any]:
    return {**asdict(queue), "of_mesh": queue.name in set(Queue)}
