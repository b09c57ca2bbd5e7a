"""All tasks of one request at once, under one deadline; one failure ends the others."""

import asyncio

from mesh.core.context import deadline as deadline_variable
from mesh.core.tracing import span
from router.dispatch.mesh import Mesh
from router.domain.requests import PredictRequest
from router.domain.results import Result


async def fan_out(mesh: Mesh, request: PredictRequest) -> list[Result]:
    """The answers to the request's tasks, in their order.

    Every task is routed, and its payload found, before anything is sent: a request that can never succeed as a whole
    costs no inference.

    Raises:
        MeshError: the first task's failure.
    """
    with span("route", tasks=len(request.tasks)):
        for task in request.tasks:
            request.content(task)
        timeout = min(mesh.routes.find(task).route.timeout_seconds for task in request.tasks)
    deadline = request.started + timeout
    deadline_variable.set(deadline)
    if len(request.tasks) == 1:
        return [await mesh.answer(request.tasks[0], request, deadline, request.trails[0])]
    try:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(mesh.answer(task, request, deadline, trail))
                for task, trail in zip(request.tasks, request.trails, strict=True)
            ]
    except BaseExceptionGroup as failures:
        # With its traceback the group would hold itself, and so the payload, until the garbage collector comes by.
        failure = failures.with_traceback(None).exceptions[0]
    else:
        return [task.result() for task in running]
    try:
        raise failure
    finally:
        del failure, running, group  # likewise: the failure's traceback holds this frame
