"""Passing a request on: what a native Immich ML server is sent for one task, in Immich's own words."""

import secrets

from router.dispatch.wire.entries import write_entries
from router.dispatch.wire.multipart import Part, join_parts
from router.domain.requests import HttpMessage, PredictRequest
from router.domain.tasks import Task, needs_text


def forwarded(request: PredictRequest, task: Task) -> HttpMessage:
    """The request as it came when the task is all that it asks for, else a new one for this task.

    Raises:
        InvalidInputError: the task's part, `image` or `text`, is missing or empty.
    """
    if request.original is not None and len(request.tasks) == 1:
        return request.original
    content = request.content(task)
    part = Part(content.data) if needs_text(task) else Part(content.data, "blob", "application/octet-stream")
    parts = {"entries": Part(write_entries([task])), "text" if needs_text(task) else "image": part}
    # 128 random bits: no photo holds them by chance.
    boundary = f"----immich-mesh-{secrets.token_hex(16)}"
    return HttpMessage(join_parts(parts, boundary.encode()), f"multipart/form-data; boundary={boundary}")
