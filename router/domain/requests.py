"""One request as the listeners hand it on: tasks, payload, and what is noted about it on its way."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from mesh.core.errors import InvalidInputError
from router.domain.tasks import Task, needs_text
from router.upstream.calls import CallStats, Content
from router.upstream.http_cluster import HttpMessage


@dataclass(slots=True)
class PredictRequest:
    """Tasks on one image, one text, or both.

    Attributes:
        tasks: at least one.
        image, text: the payload; a task without its own is refused.
        request_id: travels to the services' logs.
        original: the request as it came, for passing it on unchanged; None when it came in another dialect.
        started: when it came, on `time.monotonic()`'s clock.
        passed_on: whether another router has passed it on already.
        trails: what happened, one for each task, in their order.
    """

    tasks: Sequence[Task]
    image: Content | None = None
    text: Content | None = None
    request_id: str = ""
    original: HttpMessage | None = None
    started: float = field(default_factory=time.monotonic)
    passed_on: bool = False
    trails: list[CallStats] = field(init=False)

    def __post_init__(self) -> None:
        self.trails = [CallStats() for _ in self.tasks]

    @property
    def size(self) -> int:
        """Bytes of the body, or of the payload where the body was not kept."""
        if self.original is not None:
            return len(self.original.body)
        return sum(len(content.data) for content in (self.image, self.text) if content is not None)

    def content(self, task: Task) -> Content:
        """What the task works on. Raises InvalidInputError, naming the part that is missing."""
        wanted, name = (self.text, "text") if needs_text(task) else (self.image, "image")
        if wanted is None:
            raise InvalidInputError(f"{task.task} {task.type} needs the part {name!r}, which the request does not have")
        if not wanted.data:
            raise InvalidInputError(f"the part {name!r} is empty")
        return wanted
