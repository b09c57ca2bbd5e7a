"""CLIP's image encoder: a photo becomes a vector."""

from dataclasses import dataclass

from clip_service.preprocessing import Preprocessing
from mesh.serving.decoding import decode_photo
from mesh.serving.embedding import Embedding, embedding_of
from mesh.serving.images import ChannelOrder
from mesh.serving.inference.engine import Engine
from mesh.serving.lifecycle.model import EngineModel
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


class VisualEncoder(EngineModel):
    """The `visual` part of one model.

    Args:
        engine: runs `visual/model.onnx`: input (1, 3, size, size), first output (1, dimension).
        preprocessing: how photos become that input.
        dimension: length of the embeddings.
    """

    def __init__(self, engine: Engine, preprocessing: Preprocessing, dimension: int) -> None:
        super().__init__(engine, dimension)
        self._preprocessing = preprocessing
        self._input = engine.inputs[0]

    async def encode(self, data: bytes, max_pixels: int) -> EncodedPhoto:
        """The embedding of an encoded photo.

        Raises:
            InvalidInputError: not an image, or more than `max_pixels` pixels.
            OverloadedError, DeadlineExceededError, UnavailableError: from the engine.
        """
        photo = await self.engine.in_thread(lambda: self._prepare(data, max_pixels))
        outputs = await self.engine.infer({self._input.name: photo.tensor})
        return EncodedPhoto(embedding_of(outputs), photo.width, photo.height)

    def _prepare(self, data: bytes, max_pixels: int) -> _Prepared:
        """Decodes no more of the photo than the model looks at, and lets the pixels go again."""
        shortest = self._preprocessing.min_short_side
        image = decode_photo("clip", data, max_pixels=max_pixels, order=ChannelOrder.RGB, min_short_side=shortest)
        tensor = self._preprocessing(image.pixels).astype(self._input.dtype, copy=False)
        return _Prepared(tensor, image.width, image.height)
