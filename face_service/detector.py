"""Finds faces: an SCRFD graph, the photo fitted into its input, its findings brought back to the photo."""

from dataclasses import dataclass

import numpy as np

from face_service import scrfd
from face_service.scrfd import FaceCandidates
from mesh.serving.image_input import ImageInput
from mesh.serving.images import Pixels
from mesh.serving.images.transform import resize
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import Array

INPUT_SIZE = 640
"""Side of the detector's input in pixels where the graph leaves it open; InsightFace's choice."""

THINNEST = 160
"""A photo this many times as long as wide is four pixels wide in the detector's input: no face is seen in it."""

MEAN, STD = 127.5, 128.0


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A photo in the detector's input, and how much smaller it became."""

    feeds: dict[str, Array]
    scale: float


class FaceDetector:
    """The `detection` part of one pack.

    Args:
        engine: runs an SCRFD graph with landmarks: input (1, 3, rows, columns), or bytes that it normalises itself.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._input = ImageInput.of(engine.inputs[0])
        self._size = (self._input.rows or INPUT_SIZE, self._input.columns or INPUT_SIZE)

    async def detect(self, pixels: Pixels, *, min_score: float, limit: int) -> FaceCandidates:
        """The faces of an RGB photo, the most certain first, in pixels of the photo.

        Args:
            pixels: uint8 of shape (rows, columns, 3).
            min_score: faces less certain are dropped, 0 to 1.
            limit: most faces.

        Raises:
            OverloadedError, DeadlineExceededError, UnavailableError: from the engine.
            ValueError: the graph is no SCRFD with landmarks.
        """
        if max(pixels.shape[:2]) > THINNEST * min(pixels.shape[:2]):
            return scrfd.NOBODY
        fitted = await self.engine.in_thread(lambda: self._fit(pixels))
        outputs = await self.engine.infer(fitted.feeds)
        return await self.engine.in_thread(lambda: self._read(outputs, fitted.scale, min_score, limit))

    def _fit(self, pixels: Pixels) -> _Fitted:
        """Shrinks or grows the photo into the top left corner, proportions kept; the rest is black."""
        rows, columns = self._size
        height, width = pixels.shape[:2]
        if height / width > rows / columns:
            inner = (max(1, int(rows / (height / width))), rows)
        else:
            inner = (columns, max(1, int(columns * (height / width))))
        canvas = np.zeros((rows, columns, 3), np.uint8)
        canvas[: inner[1], : inner[0]] = resize(pixels, inner)
        return _Fitted(self._input.feed(canvas, MEAN, STD), inner[1] / height)

    def _read(self, outputs: list[Array], scale: float, min_score: float, limit: int) -> FaceCandidates:
        found = scrfd.decode([np.asarray(output, np.float32) for output in outputs], self._size, min_score)
        in_photo = FaceCandidates(found.scores, found.boxes / np.float32(scale), found.landmarks / np.float32(scale))
        return scrfd.suppress(in_photo, limit)
