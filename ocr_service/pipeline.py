"""One encoded photo in, its lines of text out: borrow the model, decode, read."""

from dataclasses import dataclass

from mesh.serving.decoding import decode_photo
from mesh.serving.images import ChannelOrder
from ocr_service.models import OcrModels
from ocr_service.options import Options
from ocr_service.recognition.reader import Line, read_photo


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that was read.

    Attributes:
        lines: in reading order.
        width, height: of the decoded photo, in pixels; the frame of reference of the lines' corners.
    """

    lines: list[Line]
    width: int
    height: int


class OcrPipeline:
    """From an encoded photo to its text.

    Args:
        models: lends the models.
        max_image_pixels: limit of width times height.
    """

    def __init__(self, models: OcrModels, max_image_pixels: int) -> None:
        self._models = models
        self._max_pixels = max_image_pixels

    async def recognize(self, data: bytes, model_name: str, options: Options) -> tuple[Photo, str]:
        """Reads one photo.

        Args:
            data: the encoded photo, JPEG, PNG, WebP, GIF, BMP or TIFF.
            model_name: which model reads it; empty for the default.
            options: of this call.

        Returns:
            The photo, and the name of the model that read it.

        Raises:
            InvalidInputError, ModelNotFoundError, UnavailableError, OverloadedError, DeadlineExceededError.
        """
        async with self._models.use(model_name) as (detector, recogniser), self._models.gate.enter():
            image = await detector.engine.in_thread(
                lambda: decode_photo("ocr", data, max_pixels=self._max_pixels, order=ChannelOrder.BGR)
            )
            lines = await read_photo(image.pixels, detector, recogniser, options)
        return Photo(lines, image.width, image.height), recogniser.name
