"""Generated CLIP-like embeddings: photos and texts live in two narrow cones, and share what they show.

The similarities are those of real CLIP models: between a text and any photo about 0.18 +- 0.03, a tenth more when the
photo shows what the text says.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.search.corpus import lexicon as words
from bench.search.corpus.photo import Photo

DIMENSION = 512
Vectors = npt.NDArray[np.float32]


class Encoder:
    """Image and text encoder of the generated library."""

    def __init__(self, seed: int = 66) -> None:
        rng = np.random.default_rng(seed)
        self._rng = rng
        self._shared, self._image, self._text = (_unit(rng.standard_normal(DIMENSION)) for _ in range(3))
        families = [_unit(rng.standard_normal(DIMENSION)) for _ in range(8)]
        self._concepts = {
            concept: _unit(0.5 * families[number % 8] + _unit(rng.standard_normal(DIMENSION)))
            for number, concept in enumerate(words.CONCEPTS)
        }

    def images(self, photos: Sequence[Photo]) -> Vectors:
        """One unit vector per photo, (N, 512)."""
        noise = self._rng.standard_normal((len(photos), DIMENSION)) / np.sqrt(DIMENSION)
        shown = np.zeros((len(photos), DIMENSION))
        for row, photo in enumerate(photos):
            for concept in photo.concepts:
                shown[row] += self._concepts[concept] * self._rng.uniform(0.38, 0.6)
        vectors = 0.68 * self._image + 0.42 * self._shared + shown + 0.55 * noise
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def text(self, query: str, concept: str | None) -> list[float]:
        """The embedding of a query; without a concept it says nothing that the model knows."""
        rng = np.random.default_rng(zlib.crc32(query.encode()))
        noise = rng.standard_normal(DIMENSION) / np.sqrt(DIMENSION)
        shown = self._concepts[concept] * 0.45 if concept else 0.0
        vector = 0.7 * self._text + 0.5 * self._shared + shown + 0.45 * noise
        return [float(number) for number in vector / np.linalg.norm(vector)]


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(vector / np.linalg.norm(vector))
