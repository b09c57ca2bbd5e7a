"""How a photo gets into a pipeline: a place at the gate, its header, memory for it, and only then its pixels."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from mesh.core.settings import ServiceSettings
from mesh.core.stages import DECODE, stage
from mesh.core.tracing import span
from mesh.serving import metrics
from mesh.serving.budget import PhotoBudget
from mesh.serving.gate import Gate
from mesh.serving.images import ChannelOrder, Image, OpenPhoto, open_photo
from mesh.serving.images.decoder import check_affordable

T = TypeVar("T")

WorkingBytes = Callable[[OpenPhoto], int]
"""Memory that a pipeline takes beside a decoded photo, in bytes."""


class RunsInThread(Protocol):
    """Runs blocking work on a thread, as `Engine.in_thread` does."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """The result of `work`."""


class AdmittedPhoto:
    """A photo for which there is memory.

    Args:
        photo: its header was read.
        data_bytes: its encoded size, for the trace.
        service: label of the metrics that decoding moves.
    """

    def __init__(self, photo: OpenPhoto, data_bytes: int, service: str) -> None:
        self._photo = photo
        self._data_bytes = data_bytes
        self._service = service

    def decode(self, order: ChannelOrder) -> Image:
        """Its pixels, once only. Raises InvalidInputError: cut off or damaged. Blocking."""
        started = time.perf_counter()
        with span("decode", bytes=self._data_bytes), stage(DECODE):
            image = self._photo.decode(order)
        metrics.DECODE_SECONDS.labels(self._service).observe(time.perf_counter() - started)
        metrics.IMAGE_PIXELS.labels(self._service).observe(image.width * image.height)
        return image


class PhotoIntake:
    """Admits photos to a service's pipeline.

    Args:
        service: `ocr`, `clip` or `face`, for metrics.
        gate: so many photos are under way.
        budget: and so many bytes.
        max_pixels: limit of width times height.
    """

    def __init__(self, service: str, gate: Gate, budget: PhotoBudget, max_pixels: int) -> None:
        self._service = service
        self._gate = gate
        self._budget = budget
        self._max_pixels = max_pixels

    @classmethod
    def of(cls, service: str, gate: Gate, settings: ServiceSettings) -> "PhotoIntake":
        """From a service's settings."""
        return cls(service, gate, PhotoBudget(settings.photo_memory_bytes, service), settings.max_image_pixels)

    @asynccontextmanager
    async def admit(
        self,
        data: bytes,
        in_thread: RunsInThread,
        *,
        working_bytes: WorkingBytes,
        min_short_side: int | None = None,
    ) -> AsyncIterator[AdmittedPhoto]:
        """Waits for a place and for memory, and holds both while the block runs.

        Whoever leaves while waiting, or before a thread has begun, costs nothing: the work is dropped.

        Args:
            data: the encoded photo.
            in_thread: where its header is read.
            working_bytes: what the pipeline takes beside the decoded pixels.
            min_short_side: see `open_photo`.

        Raises:
            InvalidInputError: not an image, too many pixels, or more memory than there is for all photos.
            OverloadedError, DeadlineExceededError: as the gate and the budget say.
        """
        async with self._gate.enter():
            opened = await in_thread(
                lambda: open_photo(data, max_pixels=self._max_pixels, min_short_side=min_short_side)
            )
            with opened as photo:
                needed = max(photo.decode_bytes, photo.pixel_bytes + working_bytes(photo))
                check_affordable(photo, needed, self._budget.total_bytes)
                async with self._budget.reserve(needed):
                    yield AdmittedPhoto(photo, len(data), self._service)
