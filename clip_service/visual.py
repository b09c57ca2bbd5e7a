"""CLIP's image encoder: a photo becomes a vector."""

from dataclasses import dataclass

import numpy as np

from clip_service.preprocessing import Preprocessing
from mesh.serving.embedding import Embedding, embedding_of
from mesh.serving.image_input import ImageInput
from mesh.serving.images import ChannelOrder
from mesh.serving.inference.engine import Engine
from mesh.serving.intake import AdmittedPhoto
from mesh.serving.runtimes.session import Array


@dataclass(frozen=True, slots=True)
class EncodedPhoto:
    """A photo's vector, and the photo's size in pixels, rotation applied."""

    embedding: Embedding
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    tensor: Array
    width: int
    height: int


class VisualEncoder:
    """The `visual` part of one model.

    Args:
        engine: runs `visual/model.onnx`: input (1, 3, size, size), or bytes that it normalises, and with an open size
            fits, by itself; first output (1, dimension).
        preprocessing: how photos become that input.
    """

    def __init__(self, engine: Engine, preprocessing: Preprocessing) -> None:
        self.engine = engine
        self.preprocessing = preprocessing
        self._input = ImageInput.of(engine.inputs[0])

    async def encode(self, photo: AdmittedPhoto) -> EncodedPhoto:
        """The embedding of an encoded photo, admitted with this encoder's `preprocessing.min_short_side`.

        Raises:
            InvalidInputError: cut off or damaged.
            OverloadedError, DeadlineExceededError, UnavailableError: from the engine.
        """
        prepared = await self.engine.in_thread(lambda: self._prepare(photo))
        outputs = await self.engine.infer({self._input.name: prepared.tensor})
        return EncodedPhoto(embedding_of(outputs), prepared.width, prepared.height)

    def _prepare(self, photo: AdmittedPhoto) -> _Prepared:
        """Decodes no more of the photo than the model looks at, and lets the pixels go again."""
        image = photo.decode(ChannelOrder.RGB)
        if self._input.scales:
            tensor = np.ascontiguousarray(self._input.raw(image.pixels))
        elif self._input.normalises:
            tensor = np.ascontiguousarray(self._input.raw(self.preprocessing.fit(image.pixels)))
        else:
            tensor = self.preprocessing(image.pixels).astype(self._input.dtype, copy=False)
        return _Prepared(tensor, image.width, image.height)
