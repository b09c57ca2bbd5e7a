"""One encoded photo in, its lines of text out: borrow the model, decode, read."""

from dataclasses import dataclass
from functools import partial

from mesh.serving.images import ChannelOrder, OpenPhoto
from mesh.serving.intake import PhotoIntake
from ocr_service.detection.detector import input_size, scale_to
from ocr_service.detection.tiles import LONG
from ocr_service.models import OcrModels
from ocr_service.options import Options
from ocr_service.reader import Line, read_photo


@dataclass(frozen=True, slots=True)
class ReadPhoto:
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
        models: where models are acquired.
        photos: admits photos.
    """

    def __init__(self, models: OcrModels, photos: PhotoIntake) -> None:
        self._models = models
        self._photos = photos

    async def recognize(self, data: bytes, model_name: str, options: Options) -> tuple[ReadPhoto, str]:
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
        async with self._models.acquire(model_name) as (detector, recogniser):
            in_thread = detector.engine.in_thread
            working = partial(working_bytes, max_resolution=options.max_resolution)
            async with self._photos.admit(data, in_thread, working_bytes=working) as photo:
                image = await in_thread(lambda: photo.decode(ChannelOrder.BGR))
                lines = await read_photo(image.pixels, detector, recogniser, options)
        return ReadPhoto(lines, image.width, image.height), recogniser.name


def working_bytes(photo: OpenPhoto, max_resolution: int) -> int:
    """Memory that detection takes beside the photo: its input as bytes, as floats and, of a long photo, in tiles."""
    size = (photo.height, photo.width)
    rows, columns = input_size(*size, scale_to(size, max_resolution))
    copies = 2 if max(size) > LONG * min(size) else 1
    return rows * columns * (3 + copies * (12 + 4))
