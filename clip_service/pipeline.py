"""The CLIP service's algorithm: a photo or a sentence, and the encoder of the wanted model."""

from clip_service.models import ClipModels
from clip_service.visual import EncodedPhoto
from mesh.serving.embedding import Embedding


class ClipPipeline:
    """Encodes photos and sentences with whichever model a request names.

    Args:
        models: lends the encoders.
        max_image_pixels: larger photos are refused before they are decoded.
    """

    def __init__(self, models: ClipModels, max_image_pixels: int) -> None:
        self._models = models
        self._max_image_pixels = max_image_pixels

    async def encode_image(self, data: bytes, model_name: str) -> tuple[EncodedPhoto, str]:
        """The vector of an encoded photo, and the name of the model that made it; an empty name is the default.

        Raises:
            InvalidInputError: not an image, too many pixels, or a name that no model can have.
            ModelNotFoundError, UnavailableError, OverloadedError, DeadlineExceededError: as the lifecycle and the
                engine say.
        """
        name = self._models.manager.resolve(model_name)
        async with self._models.visual(name) as encoder, self._models.gate.enter():
            return await encoder.encode(data, self._max_image_pixels), name

    async def encode_text(self, text: str, language: str, model_name: str) -> tuple[Embedding, str]:
        """The vector of a sentence, and the name of the model that made it; an empty name is the default.

        Raises:
            InvalidInputError: the text is empty, or the name is none that a model can have.
            ModelNotFoundError, UnavailableError, OverloadedError, DeadlineExceededError: as the lifecycle and the
                engine say.
        """
        name = self._models.manager.resolve(model_name)
        async with self._models.textual(name) as encoder:
            return await encoder.encode(text, language), name
