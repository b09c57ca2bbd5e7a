"""Tells faces apart: an ArcFace graph makes a vector of each aligned face."""

import asyncio

from face_service.alignment import TEMPLATE_SIZE
from mesh.serving.embedding import Embedding, embedding_of
from mesh.serving.image_input import ImageInput
from mesh.serving.images import Pixels
from mesh.serving.inference.engine import Engine

MEAN = STD = 127.5


class FaceRecogniser:
    """The `recognition` part of one pack.

    Args:
        engine: runs an ArcFace graph; first output (1, dimension).
        image_input: what it wants to see: normalised RGB (1, 3, size, size), or what it normalises itself.
        window: most faces of one photo in the engine's queue at once, so that a group photo cannot fill it.
    """

    def __init__(self, engine: Engine, image_input: ImageInput, window: int) -> None:
        self.engine = engine
        self._input = image_input
        self._window = window

    @property
    def crop_size(self) -> int:
        """Side of the aligned faces in pixels."""
        return self._input.rows or TEMPLATE_SIZE

    async def encode(self, crops: list[Pixels]) -> list[Embedding]:
        """One embedding per aligned RGB face of shape (size, size, 3), in order.

        Each face is an item of its own, so that the faces of one photo run in parallel, or share a GPU's batch with
        other photos'.

        Raises:
            OverloadedError, DeadlineExceededError, UnavailableError: from the engine.
            RuntimeError: the graph gave no direction.
        """
        window = asyncio.Semaphore(self._window)

        async def one(face: Pixels) -> Embedding:
            async with window:
                return embedding_of(await self.engine.infer(self._input.feed(face, MEAN, STD)))

        tasks = [asyncio.create_task(one(face)) for face in crops]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()  # when one face fails, or the caller leaves, nobody waits for the others
