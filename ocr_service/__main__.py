"""The OCR service as a process: `python -m ocr_service`."""

import sys
from functools import partial

from immich_mesh.ocr.v1 import ocr_pb2_grpc

from mesh.serving.gate import Gate
from mesh.serving.intake import PhotoIntake
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.server import Service, ServiceContext, run
from ocr_service.config import OcrSettings
from ocr_service.models import OcrModels
from ocr_service.options import Options
from ocr_service.pipeline import OcrPipeline
from ocr_service.servicer import OcrServicer

NAME = "immich_mesh.ocr.v1.OcrService"


def build(settings: OcrSettings, context: ServiceContext) -> Service:
    """The service, its models not yet loaded."""
    models = OcrModels(
        context,
        LifecyclePolicy.of(settings),
        shapes=settings.shapes,
        language_fallback=settings.language_fallback,
    )
    photos = PhotoIntake.of("ocr", Gate.of(context.runtime, context.compute.traffic), settings)
    pipeline = OcrPipeline(models, photos)
    register = partial(ocr_pb2_grpc.add_OcrServiceServicer_to_server, OcrServicer(pipeline, settings))
    return Service(NAME, register, models.manager, lambda photo: pipeline.recognize(photo, "", Options()))


if __name__ == "__main__":
    sys.exit(run(OcrSettings, build, "ocr"))
