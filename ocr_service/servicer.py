"""OcrService of the contract: from gRPC messages to the pipeline and back."""

import math
from typing import Any, Literal

import grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc

from mesh.core.errors import InvalidInputError
from ocr_service.config import OcrSettings
from ocr_service.detection.quads import Quad
from ocr_service.options import Options
from ocr_service.pipeline import OcrPipeline
from ocr_service.reader import Line

MIN_RESOLUTION = 32


class OcrServicer(ocr_pb2_grpc.OcrServiceServicer):
    """Answers `Recognize`; domain errors become codes in `mesh.serving.interceptors`.

    Args:
        pipeline: reads photos.
        settings: what holds where a request says nothing.
    """

    def __init__(self, pipeline: OcrPipeline, settings: OcrSettings) -> None:
        self._pipeline = pipeline
        self._settings = settings

    async def Recognize(
        self, request: ocr_pb2.RecognizeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ocr_pb2.RecognizeResponse:
        """Reads one photo."""
        photo, name = await self._pipeline.recognize(request.image, request.model_name, self._options(request))
        return ocr_pb2.RecognizeResponse(
            lines=[_line(line) for line in photo.lines],
            image_width=photo.width,
            image_height=photo.height,
            model_name=name,
        )

    def _options(self, request: ocr_pb2.RecognizeRequest) -> Options:
        settings = self._settings
        resolution = request.max_resolution if request.HasField("max_resolution") else settings.max_resolution
        if resolution < MIN_RESOLUTION:
            raise InvalidInputError(f"max_resolution is {resolution}: give {MIN_RESOLUTION} pixels or more")
        return Options(
            min_detection_score=_score(request, "min_detection_score", settings.min_detection_score),
            min_recognition_score=_score(request, "min_recognition_score", settings.min_recognition_score),
            max_resolution=resolution,
            language=request.language,
        )


def _score(
    request: ocr_pb2.RecognizeRequest, field: Literal["min_detection_score", "min_recognition_score"], default: float
) -> float:
    """A score of the request, or its default. Raises InvalidInputError for anything but 0 to 1."""
    value: float = getattr(request, field) if request.HasField(field) else default
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise InvalidInputError(f"{field} is {value:g}: give a number from 0 to 1")
    return value


def _line(line: Line) -> ocr_pb2.TextLine:
    return ocr_pb2.TextLine(
        text=line.text,
        box=_quad(line.quad),
        detection_score=line.detection_score,
        recognition_score=line.recognition_score,
    )


def _quad(quad: Quad) -> ocr_pb2.Quad:
    corners = [ocr_pb2.Point(x=x, y=y) for x, y in quad.tolist()]
    return ocr_pb2.Quad(top_left=corners[0], top_right=corners[1], bottom_right=corners[2], bottom_left=corners[3])
