"""A photo that somebody tries on the admin page: a prediction as Immich's, which tells where its time went."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from router.listeners.server.messages import PREDICT

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def timed(predict: Handler, clock: Callable[[], float] = time.monotonic) -> Handler:
    """The same handler, with the header `Server-Timing`: waited here, at the service, and the rest in the router."""

    async def answer(request: web.Request) -> web.StreamResponse:
        started = clock()
        response = await predict(request)
        calls = request[PREDICT].stats
        waited = max(call.held_seconds for call in calls)
        service = max(call.upstream_seconds for call in calls)
        spent = {"wait": waited, "service": service, "router": max(0.0, clock() - started - waited - service)}
        response.headers["Server-Timing"] = ", ".join(f"{name};dur={1000 * took:.1f}" for name, took in spent.items())
        return response

    return answer
