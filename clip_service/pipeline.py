"""The CLIP service's algorithm: a photo or a sentence, and the encoder of the wanted model."""

from clip_service.models import ClipModels
from clip_service.visual import EncodedPhoto
from mesh.serving.embedding import Embedding
from mesh.serving.intake import PhotoIntake


class ClipPipeline:
    """Encodes photos and sentences with whichever model a request names.

    Args:
        models: where encoders are acquired.
        photos: admits photos.
    """

    def __init__(self, models: ClipModels, photos: PhotoIntake) -> None:
        self._models = models
        self._photos = photos

    async def encode_image(self, data: bytes, model_name: str) -> tuple[EncodedPhoto, str]:
        """The vector of an encoded photo, and the name of the model that made it; an empty name is the default.

        Raises:
            InvalidInputError: not an image, too many pixels, or a name that no model can have.
            ModelNotFoundError, UnavailableError, OverloadedError, DeadlineExceededError: as the lifecycle and the
                engine say.
        """
        name = self._models.manager.resolve(model_name)
        async with self._models.visual(name) as encoder:
            preprocessing = encoder.preprocessing
            async with self._photos.admit(
                data,
                encoder.engine.in_thread,
                working_bytes=lambda photo: preprocessing.working_bytes(photo.width, photo.height, photo.divisor),
                min_short_side=preprocessing.min_short_side,
            ) as photo:
                return await encoder.encode(photo), name

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
