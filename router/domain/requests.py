"""One request as the listeners hand it on: tasks, payload, and what is noted about it on its way."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mesh.core.errors import InvalidInputError
from router.domain.results import Result
from router.domain.tasks import Task, needs_text

HOP_HEADER = "x-immich-mesh"
"""Marks requests that a router has passed on: one that comes back would go round for ever."""


class Content:
    """The photo or text that a request carries, and its hash once somebody asks for it."""

    __slots__ = ("_digest", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256; computed on first use, because most requests never need it."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.data).digest()
        return self._digest


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A body and what it is."""

    body: bytes
    content_type: str


@dataclass(slots=True)
class CallStats:
    """What happened to a call on its way; for the access line, metrics and tests. Times in seconds."""

    cluster: str = ""
    endpoint: str = ""
    tries: int = 0
    held_seconds: float = 0.0
    upstream_seconds: float = 0.0
    shared: bool = False
    model: str = ""
    """The model that answered; empty while none has, and where a native server does not tell."""
    stages: Mapping[str, float] | None = None
    """The part of `upstream_seconds` that the service told of, by its stages; None where nobody asked for them."""


@dataclass(slots=True)
class PredictRequest:
    """Tasks on one image, one text, or both.

    Attributes:
        tasks: at least one.
        image, text: the payload; a task without its own is refused.
        request_id: travels to the services' logs.
        original: the request as it came, for passing it on unchanged; None where nobody would get it.
        size: bytes of the body.
        started: when it came, on `time.monotonic()`'s clock.
        passed_on: whether another router has passed it on already.
        stats: what happened, one for each task, in their order.
    """

    tasks: Sequence[Task]
    image: Content | None = None
    text: Content | None = None
    request_id: str = ""
    original: HttpMessage | None = None
    size: int = 0
    started: float = field(default_factory=time.monotonic)
    passed_on: bool = False
    stats: list[CallStats] = field(init=False)

    def __post_init__(self) -> None:
        self.stats = [CallStats() for _ in self.tasks]

    def ask_for_stages(self) -> None:
        """The services are asked to tell where their time goes."""
        for noted in self.stats:
            noted.stages = {}

    def content(self, task: Task) -> Content:
        """What the task works on. Raises InvalidInputError, naming the part that is missing."""
        wanted, name = (self.text, "text") if needs_text(task) else (self.image, "image")
        if wanted is None:
            raise InvalidInputError(f"{task.task} {task.type} needs the part {name!r}, which the request does not have")
        if not wanted.data:
            raise InvalidInputError(f"the part {name!r} is empty")
        return wanted


Predict = Callable[[PredictRequest], Awaitable[list[Result]]]
"""What listeners are given: the answers to a request's tasks, in their order. Raises MeshError."""
