"""An Immich double's calls for administrators: queues in both shapes, and the system's settings."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.doubles.immich_library import DoubleKey, DoubleQueue, ImmichLibrary

Authorise = Callable[[web.Request, str], DoubleKey]


class AdminCalls:
    """Handlers for one library; `authorise` demands an administrator's key with a permission."""

    def __init__(self, library: ImmichLibrary, authorise: Authorise, refuse: Callable[[int, str], Exception]) -> None:
        self._library = library
        self._authorise = authorise
        self._refuse = refuse

    def routes(self, *, modern: bool) -> list[web.RouteDef]:
        """What this Immich answers; `/api/queues` only where pausing belongs to it."""
        found = [
            web.get("/api/jobs", self._jobs),
            web.put("/api/jobs/{name}", self._command),
            web.get("/api/system-config", self._config),
        ]
        return [*found, web.get("/api/queues", self._queues), web.put("/api/queues/{name}", self._update)][
            : 5 if modern else 3
        ]

    async def _jobs(self, request: web.Request) -> web.Response:
        self._authorise(request, "job.read")
        return web.json_response({name: _legacy(queue) for name, queue in self._library.queues.items()})

    async def _command(self, request: web.Request) -> web.Response:
        self._authorise(request, "job.create")
        queue, body = self._queue(request), await request.json()
        if body["command"] == "start":
            if queue.jobs:
                raise self._refuse(400, "Job is already running")
            assert body["force"] is False
            queue.started += 1
        else:
            queue.paused = {"pause": True, "resume": False}[body["command"]]
        return web.json_response(_legacy(queue))

    async def _queues(self, request: web.Request) -> web.Response:
        self._authorise(request, "queue.read")
        return web.json_response([_modern(name, queue) for name, queue in self._library.queues.items()])

    async def _update(self, request: web.Request) -> web.Response:
        self._authorise(request, "queue.update")
        queue = self._queue(request)
        queue.paused = (await request.json())["isPaused"]
        return web.json_response(_modern(request.match_info["name"], queue))

    async def _config(self, request: web.Request) -> web.Response:
        self._authorise(request, "systemConfig.read")
        return web.json_response({"machineLearning": self._library.ml, "oauth": {"clientSecret": "hidden"}})

    def _queue(self, request: web.Request) -> DoubleQueue:
        name = request.match_info["name"]
        if name not in self._library.queues:
            raise self._refuse(400, f"name must be one of the following values: {sorted(self._library.queues)}")
        return self._library.queues[name]


def _counts(queue: DoubleQueue) -> dict[str, int]:
    waiting = {"paused" if queue.paused else "waiting": queue.jobs}
    return {"active": 0, "completed": 0, "delayed": 0, "failed": 0, "paused": 0, "waiting": 0} | waiting


def _legacy(queue: DoubleQueue) -> dict[str, Any]:
    status = {"isActive": bool(queue.jobs), "isPaused": queue.paused}
    return {"jobCounts": _counts(queue), "queueStatus": status}


def _modern(name: str, queue: DoubleQueue) -> dict[str, Any]:
    return {"name": name, "isPaused": queue.paused, "statistics": _counts(queue)}
