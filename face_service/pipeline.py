"""The face service's algorithm: decode, detect, align, encode.

Every step that computes runs in the engine's threads; the event loop only waits.
"""

import math
from dataclasses import dataclass

import numpy as np

from face_service import alignment
from face_service.alignment import Landmarks
from face_service.models import FaceModels
from face_service.recogniser import FaceRecogniser
from face_service.scrfd import FaceCandidates
from mesh.core.errors import InvalidInputError
from mesh.serving.embedding import Embedding
from mesh.serving.images import ChannelOrder, Pixels
from mesh.serving.intake import PhotoIntake

WORKING_BYTES = 16 << 20
"""What detection and the crops of many faces take beside the photo, whatever its size."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, inside the photo, never empty."""


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """One face of a photo."""

    box: Box
    score: float
    landmarks: Landmarks
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Faces:
    """All faces of a photo, the most certain first; its size in pixels; the pack that found them."""

    faces: list[DetectedFace]
    width: int
    height: int
    model_name: str


@dataclass(frozen=True, slots=True)
class _Aligned:
    box: Box
    score: float
    landmarks: Landmarks
    crop: Pixels


class FacePipeline:
    """Finds and encodes faces with whichever pack a request names.

    Args:
        models: where detectors and recognisers are acquired.
        photos: admits photos.
        min_score: certainty, 0 to 1, for requests that do not say.
        max_faces: most faces of one photo.
    """

    def __init__(self, models: FaceModels, photos: PhotoIntake, *, min_score: float, max_faces: int) -> None:
        self._models = models
        self._photos = photos
        self._min_score = min_score
        self._max_faces = max_faces

    async def find(self, data: bytes, *, min_score: float | None, model_name: str) -> Faces:
        """The faces of an encoded photo; none for a photo without.

        Raises:
            InvalidInputError: not an image, too many pixels, a score out of range, or a name that no pack can have.
            ModelNotFoundError, UnavailableError, OverloadedError, DeadlineExceededError: as lifecycle, gate and
                engine say.
        """
        threshold = self._min_score if min_score is None else min_score
        if not (math.isfinite(threshold) and 0 <= threshold <= 1):
            raise InvalidInputError(f"min_score is {threshold:g}: give a number from 0 to 1")
        name = self._models.manager.resolve(model_name)
        async with self._models.acquire(name) as (detector, recogniser):
            in_thread = detector.engine.in_thread
            async with self._photos.admit(data, in_thread, working_bytes=lambda _: WORKING_BYTES) as photo:
                image = await in_thread(lambda: photo.decode(ChannelOrder.RGB))
                found = await detector.detect(image.pixels, min_score=threshold, limit=self._max_faces)
                faces = await _encode(image.pixels, found, recogniser) if len(found) else []
        return Faces(faces, image.width, image.height, name)


async def _encode(pixels: Pixels, found: FaceCandidates, recogniser: FaceRecogniser) -> list[DetectedFace]:
    aligned = await recogniser.engine.in_thread(lambda: align(pixels, found, recogniser.crop_size))
    embeddings = await recogniser.encode([face.crop for face in aligned])
    return [
        DetectedFace(face.box, face.score, face.landmarks, embedding)
        for face, embedding in zip(aligned, embeddings, strict=True)
    ]


def align(pixels: Pixels, found: FaceCandidates, size: int) -> list[_Aligned]:
    """The upright crop of every candidate; without those that lie outside the photo or have no landmarks to align."""
    aligned = []
    for edges, score, landmarks in zip(found.boxes, found.scores, found.landmarks, strict=True):
        box = whole_box(edges, width=pixels.shape[1], height=pixels.shape[0])
        transform = alignment.similarity(landmarks, size)
        if box is not None and transform is not None:
            aligned.append(_Aligned(box, float(score), landmarks, alignment.crop(pixels, transform, size)))
    return aligned


def whole_box(edges: np.ndarray, *, width: int, height: int) -> Box | None:
    """Edges (left, top, right, bottom) rounded to whole pixels and kept inside the photo; None when nothing is left."""
    left, top, right, bottom = (float(edge) for edge in edges)
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return None
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return None
    x1, y1 = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
    return x1, y1, min(max(round(right), x1 + 1), width), min(max(round(bottom), y1 + 1), height)
